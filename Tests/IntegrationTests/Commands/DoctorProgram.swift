/// A run of `warren doctor --json`.
struct DoctorProgram {
    /// A finding, as the program prints it.
    struct Finding: Decodable, Hashable {
        var severity: String
        var check: String
        var subject: String?
        var problem: String
        var consequence: String
        var remedy: String
    }

    let exitCode: Int32
    let findings: [Finding]
    let error: String

    /// The findings of a check.
    func findings(_ check: String) -> [Finding] { findings.filter { $0.check == check } }

    /// Runs the program.
    ///
    /// - Parameter management: The management API; without it, it isn't asked, whatever the environment says.
    static func run(
        broker: String,
        management: String? = nil,
        _ arguments: String...
    ) async throws -> DoctorProgram {
        let run = try await WarrenProgram.run(
            ["doctor", "--json", "--broker", broker] + (management.map { ["--management", $0] } ?? []) + arguments
        )
        return DoctorProgram(exitCode: run.exitCode, findings: try run.decoded(), error: run.error)
    }
}
