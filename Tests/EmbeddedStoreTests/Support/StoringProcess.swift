import Subprocess
import TestSupport
import Testing

#if canImport(System)
import System
#else
import SystemPackage
#endif

/// The fixture's `storing-client`, run on a file until it is killed.
enum StoringProcess {
    /// Runs the program, kills it once it has written `count` events, and returns all events that it wrote.
    static func run(on path: String, seed: UInt64, firstNumber: Int, killAfter count: Int) async throws -> [StoreEvent]
    {
        let result = try await Subprocess.run(
            .path(FilePath(try BuiltProgram.processFixture)),
            arguments: [
                "storing-client", "--path", path, "--seed", "\(seed)", "--first-number", "\(firstNumber)",
            ],
            input: .none,
            output: .sequence,
            error: .string(limit: 1 << 20)
        ) { execution in
            var events: [StoreEvent] = []
            if count == 0 { try execution.send(signal: .kill) }
            for try await line in execution.standardOutput.strings() {
                events.append(try StoreEvent(line: line))
                if events.count == count { try execution.send(signal: .kill) }
            }
            return events
        }
        let error = result.standardError
        #expect(result.terminationStatus == .signaled(9), "\(error)")
        return result.closureResult
    }
}
