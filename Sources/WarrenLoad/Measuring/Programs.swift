import Foundation

/// The measuring programs: this one, and the C program beside it.
struct Programs {
    /// This program.
    static var own: Program {
        get throws {
            guard let url = Bundle.main.executableURL?.resolvingSymlinksInPath() else {
                throw LoadError("This program can't find its own path.")
            }
            return Program(url: url)
        }
    }

    private let warren: Program
    private let c: Program

    init() throws {
        warren = try Self.own
        c = Program(url: warren.url.deletingLastPathComponent().appending(path: "warren-load-c"))
        if !c.exists { try Self.build(c) }
    }

    /// Makes one measurement in a separate process.
    func run(_ entry: Comparison.Entry, url: String, count: Int) throws -> Figure {
        let common = ["--url", url, "--count", String(count)]
        let output =
            switch entry.implementation {
            case .warren: try warren.output(of: ["run", entry.work.rawValue] + common)
            case .c: try c.output(of: Self.arguments(of: entry.work) + common)
            }
        guard let line = output.split(separator: UInt8(ascii: "\n")).last else {
            throw LoadError("\(entry.work.rawValue) by \(entry.implementation.rawValue) printed nothing.")
        }
        var figure = try JSONDecoder().decode(Figure.self, from: Data(line))
        figure.work = entry.work
        return figure
    }

    /// The arguments of the C program for a kind of work, with the sizes that Warren uses.
    private static func arguments(of work: Work) -> [String] {
        let isSmall = work == .publishHundred
        return [
            isSmall ? Work.publish.rawValue : work.rawValue,
            "--window", String(isSmall ? Load.callers : Load.inFlight),
            "--prefetch", String(Load.prefetch),
            "--rate", String(Load.jobsPerSecond),
        ]
    }

    /// `swift run warren-load` builds this program only, so the C program may be missing.
    private static func build(_ program: Program) throws {
        let folder = program.url.deletingLastPathComponent()
        let package = folder.deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent()
        FileHandle.standardError.write(Data("Building warren-load-c, the C program to compare with.\n".utf8))
        _ = try Program(url: URL(filePath: "/usr/bin/env")).output(
            of: ["WARREN_TOOLS=1", "swift", "build", "--package-path", package.path]
                + ["-c", folder.lastPathComponent, "--product", program.url.lastPathComponent]
        )
        guard program.exists else {
            throw LoadError(
                "\(program.url.path) doesn't exist. Build it: WARREN_TOOLS=1 swift build -c release --product warren-load-c"
            )
        }
    }
}

/// A program that can be run for its output.
struct Program {
    let url: URL

    var exists: Bool { FileManager.default.isExecutableFile(atPath: url.path) }

    /// Runs the program to its end and returns its output; standard error goes where this process's does.
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

    /// A running program.
    struct Run {
        fileprivate let process: Process
        fileprivate let output: FileHandle

        /// The output until the program ends.
        func everything() -> Data { output.readDataToEndOfFile() }

        /// The first line of output, as soon as it is complete.
        func firstLine() -> String {
            var line = Data()
            while !line.contains(UInt8(ascii: "\n")) {
                let more = output.availableData
                guard !more.isEmpty else { break }
                line += more
            }
            return String(decoding: line.prefix { $0 != UInt8(ascii: "\n") }, as: UTF8.self)
        }

        /// Waits for the end, and throws unless the program succeeded.
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
