import Foundation
import Subprocess
import TestSupport
import Testing

#if canImport(System)
import System
#else
import SystemPackage
#endif

/// A run of the program `warren`.
struct WarrenProgram {
    let exitCode: Int32
    let output: String
    let error: String

    /// The lines of JSON that it printed.
    func decoded<Line: Decodable>(as type: Line.Type = Line.self) throws -> [Line] {
        try output.split(separator: "\n").map { try JSONDecoder().decode(Line.self, from: Data($0.utf8)) }
    }

    /// Runs the program, in an environment without the management API.
    static func run(_ arguments: [String]) async throws -> WarrenProgram {
        let result = try await Subprocess.run(
            .path(FilePath(try BuiltProgram.path("warren"))),
            arguments: Arguments(arguments),
            environment: .inherit.updating(["WARREN_BROKER_MANAGEMENT_URL": nil]),
            output: .string(limit: 1 << 20),
            error: .string(limit: 1 << 20)
        )
        return WarrenProgram(
            exitCode: try #require(exitCode(result.terminationStatus)),
            output: result.standardOutput,
            error: result.standardError
        )
    }

    private static func exitCode(_ status: TerminationStatus) -> Int32? {
        if case .exited(let code) = status { Int32(code) } else { nil }
    }
}
