import Foundation

/// A program that can be run, and what it prints.
struct Program {
    let url: URL

    var exists: Bool { FileManager.default.isExecutableFile(atPath: url.path) }

    /// Runs the program to its end and gives what it printed; standard error goes where this process's does.
    func output(of arguments: [String]) throws -> Data {
        let run = try launch(arguments)
        let output = run.everything()
        try run.finish()
        return output
    }

    /// Starts the program.
    func launch(_ arguments: [String]) throws -> Run {
        let process = Process()
        process.executableURL = url
        process.arguments = arguments
        let pipe = Pipe()
        process.standardOutput = pipe
        try process.run()
        return Run(process: process, output: pipe.fileHandleForReading)
    }

    /// A program that runs.
    struct Run {
        fileprivate let process: Process
        fileprivate let output: FileHandle

        /// What it prints until it ends.
        func everything() -> Data { output.readDataToEndOfFile() }

        /// The first line it prints, as soon as it is there.
        func firstLine() -> String {
            var line = Data()
            while !line.contains(UInt8(ascii: "\n")) {
                let more = output.availableData
                guard !more.isEmpty else { break }
                line += more
            }
            return String(decoding: line.prefix { $0 != UInt8(ascii: "\n") }, as: UTF8.self)
        }

        /// Waits for the end, and throws if that isn't success.
        func finish() throws {
            process.waitUntilExit()
            guard process.terminationReason == .exit, process.terminationStatus == 0 else {
                let program = process.executableURL?.lastPathComponent ?? ""
                let arguments = (process.arguments ?? []).prefix(2).joined(separator: " ")
                throw LoadError("\(program) \(arguments) ended with \(process.terminationStatus).")
            }
        }
    }
}
