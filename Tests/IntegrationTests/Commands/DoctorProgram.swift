import Foundation
import Subprocess
import TestSupport
import Testing

#if canImport(System)
import System
#else
import SystemPackage
#endif

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
        let result = try await Subprocess.run(
            .path(FilePath(try program.path)),
            arguments: Arguments(
                ["doctor", "--json", "--broker", broker] + (management.map { ["--management", $0] } ?? []) + arguments
            ),
            environment: .inherit.updating(["WARREN_BROKER_MANAGEMENT_URL": nil]),
            output: .string(limit: 1 << 20),
            error: .string(limit: 1 << 20)
        )
        let lines = result.standardOutput.split(separator: "\n")
        return DoctorProgram(
            exitCode: try #require(exitCode(result.terminationStatus)),
            findings: try lines.map { try JSONDecoder().decode(Finding.self, from: Data($0.utf8)) },
            error: result.standardError
        )
    }

    private static func exitCode(_ status: TerminationStatus) -> Int32? {
        if case .exited(let code) = status { Int32(code) } else { nil }
    }

    /// The program `warren`, which the build put beside this test's own.
    private static var program: URL {
        get throws {
            let folders = [
                URL(filePath: CommandLine.arguments[0]).deletingLastPathComponent(),
                TestBroker.root.appending(path: ".build/debug"),
            ]
            return try #require(
                folders.map { $0.appending(path: "warren") }
                    .first { FileManager.default.isExecutableFile(atPath: $0.path) },
                "build the tests first: swift build --build-tests"
            )
        }
    }
}
