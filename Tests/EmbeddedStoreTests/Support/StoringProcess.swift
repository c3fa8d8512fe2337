import Foundation
import Subprocess
import Testing

#if canImport(System)
import System
#else
import SystemPackage
#endif

/// The program `StoringClient`, run on a file until it is killed.
enum StoringProcess {
    /// Runs the program and kills it when it has written so many lines; returns all lines that it wrote.
    static func run(on path: String, seed: UInt64, firstNumber: Int, killAfter count: Int) async throws -> [String] {
        let result = try await Subprocess.run(
            .path(FilePath(try program.path)),
            arguments: [path, "\(seed)", "\(firstNumber)"],
            input: .none,
            output: .sequence,
            error: .string(limit: 1 << 20)
        ) { execution in
            var lines: [String] = []
            if count == 0 { try execution.send(signal: .kill) }
            for try await line in execution.standardOutput.strings() {
                lines.append(line)
                if lines.count == count { try execution.send(signal: .kill) }
            }
            return lines
        }
        let error = result.standardError
        #expect(result.terminationStatus == .signaled(9), "\(error)")
        return result.closureResult
    }

    /// The program, which the build put beside this test's own.
    private static var program: URL {
        get throws {
            var root = URL(filePath: #filePath)
            for _ in 1...4 { root.deleteLastPathComponent() }
            let folders = [
                URL(filePath: CommandLine.arguments[0]).deletingLastPathComponent(),
                root.appending(path: ".build/debug"),
            ]
            return try #require(
                folders.map { $0.appending(path: "StoringClient") }
                    .first { FileManager.default.isExecutableFile(atPath: $0.path) },
                "build the tests first: swift build --build-tests"
            )
        }
    }
}
