import Foundation
import Subprocess
import Synchronization

#if canImport(System)
import System
#else
import SystemPackage
#endif

/// One child of a supervisor: a process at a time.
final class Child: Sendable {
    private struct State {
        /// The end of the child's standard input that keeps it working.
        var link: FileDescriptor?
        var send: (@Sendable (Signal) -> Void)?
        var process = "none"
    }

    let number: Int
    let arguments: [String]
    private let program: FilePath
    private let state = Mutex(State())

    init(_ number: Int, program: FilePath, arguments: [String]) {
        self.number = number
        self.program = program
        self.arguments = arguments
    }

    /// Runs a process and returns how it ended.
    ///
    /// - Parameter started: Called when there is a process.
    func run(started: @escaping @Sendable () -> Void) async -> ChildEnding {
        var options = PlatformOptions()
        // A group of its own, so that a terminal's signals reach the supervisor alone, and each child once.
        options.processGroupID = 0
        do {
            let (reading, writing) = try FileDescriptor.pipe()
            state.withLock { $0.link = writing }
            defer { unlink() }
            let result = try await Subprocess.run(
                .path(program),
                arguments: Arguments(arguments),
                platformOptions: options,
                input: .fileDescriptor(reading, closeAfterSpawningProcess: true),
                output: .currentStandardOutput,
                error: .currentStandardError
            ) { execution in
                state.withLock {
                    $0.send = { try? execution.send(signal: $0) }
                    $0.process = "\(execution.processIdentifier)"
                }
                started()
            }
            switch result.terminationStatus {
            case .exited(let code): return .exited(code)
            case .signaled(let signal): return .signalled(signal)
            }
        } catch {
            return .notStarted("\(error)")
        }
    }

    /// The id of the process, also of the one that ended last.
    var process: String { state.withLock { $0.process } }

    /// Tells the process to end in order.
    func stop() {
        let link = state.withLock { $0.link.take() }
        try? link?.close()
    }

    /// Tells the process to end at once.
    func stopNow() {
        stop()
        send(.quit)
    }

    /// Ends the process.
    func kill() { send(.kill) }

    private func send(_ signal: Signal) {
        state.withLock { $0.send }?(signal)
    }

    private func unlink() {
        stop()
        state.withLock { $0.send = nil }
    }
}
