import Foundation

/// The programs that measure: this one, and the C program beside it.
struct Programs {
    /// This program.
    static var own: Program {
        get throws {
            guard let url = Bundle.main.executableURL?.resolvingSymlinksInPath() else {
                throw LoadError("This program doesn't know where it lies.")
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

    /// One measurement in a process of its own.
    func run(_ entry: Contest.Entry, url: String, count: Int) throws -> Figure {
        let common = [entry.work.rawValue, "--url", url, "--count", String(count)]
        let output =
            switch entry.who {
            case .warren: try warren.output(of: ["run"] + common)
            case .c: try c.output(of: common + Self.sizes)
            }
        guard let line = output.split(separator: UInt8(ascii: "\n")).last else {
            throw LoadError("\(entry.work.rawValue) by \(entry.who.rawValue) printed nothing.")
        }
        return try JSONDecoder().decode(Figure.self, from: Data(line))
    }

    private static let sizes = [
        "--window", String(Load.inFlight), "--prefetch", String(Load.prefetch), "--rate", String(Load.jobsPerSecond),
    ]

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
                "\(program.url.path) is missing. Build it: WARREN_TOOLS=1 swift build -c release --product warren-load-c"
            )
        }
    }
}
