import Foundation

/// The command line of a supervised process, made from the supervisor's own.
struct ChildArguments: Sendable, Hashable {
    /// The options of the supervisor that each child gets its own of, or none.
    private static let replaced: Set<String> = ["--processes", "--name", "--health-port", "--health-file"]

    private let arguments: [String]
    private let name: String
    private let healthPort: UInt16?
    private let healthFile: String?

    /// - Parameter arguments: The supervisor's command line without the program's name.
    /// - Parameter name: The name of the supervisor, of which each child's is made.
    init(_ arguments: [String], name: String, healthPort: UInt16?, healthFile: String?) {
        var rest: [String] = []
        var skipsValue = false
        for (index, argument) in arguments.enumerated() {
            if skipsValue {
                skipsValue = false
            } else if argument == "--" {
                rest += arguments[index...]
                break
            } else if Self.replaced.contains(argument) {
                skipsValue = true
            } else if !Self.replaced.contains(where: { argument.hasPrefix($0 + "=") }) {
                rest.append(argument)
            }
        }
        self.arguments = rest
        self.name = name
        self.healthPort = healthPort
        self.healthFile = healthFile
    }

    /// The arguments of a child; children are counted from 1.
    func child(_ number: Int) -> [String] {
        var own = ["--supervised", "--name", "\(name)-\(number)"]
        if let healthPort { own += ["--health-port", "\(Int(healthPort) + number)"] }
        if let healthFile { own += ["--health-file", Self.path(healthFile, number)] }
        // What follows a `--` are no options.
        let end = arguments.firstIndex(of: "--") ?? arguments.endIndex
        return Array(arguments[..<end]) + own + Array(arguments[end...])
    }

    /// The file's path with the number before its extension.
    private static func path(_ path: String, _ number: Int) -> String {
        let url = URL(filePath: path)
        let extended = url.pathExtension
        let stem = "\(url.deletingPathExtension().path)-\(number)"
        return extended.isEmpty ? stem : "\(stem).\(extended)"
    }
}
