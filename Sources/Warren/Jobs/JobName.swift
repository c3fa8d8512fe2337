/// The rule for a job's name on the wire.
enum JobName {
    static let maximumLength = 255

    /// - Throws: ``WarrenError`` with `invalidJobName` if `name` is empty, over 255 bytes, or has a control character.
    static func validate(_ name: String) throws(WarrenError) {
        let problem: String
        if name.isEmpty {
            problem = "is empty"
        } else if name.utf8.count > maximumLength {
            problem = "is longer than \(maximumLength) bytes"
        } else if name.utf8.contains(where: { $0 < 0x20 || $0 == 0x7F }) {
            problem = "has a control character"
        } else {
            return
        }
        throw WarrenError(.invalidJobName, "The job name '\(name.truncated(toBytes: 80))' \(problem).")
    }
}
