import Dispatch
import Foundation
import Subprocess
import Synchronization

#if canImport(System)
import System
#else
import SystemPackage
#endif

/// One child of a supervisor; it runs one process at a time.
final class Child: Sendable {
    private struct State {
        /// The write end of the child's standard input; closing it asks the child to stop.
        var link: FileDescriptor?
        var send: (@Sendable (Signal) -> Void)?
        var processID = "none"
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

    /// Runs a process until it ends, and returns the way in which it ended.
    ///
    /// - Parameter started: Called once the process runs.
    func run(started: @escaping @Sendable () -> Void) async -> ChildEnding {
        var options = PlatformOptions()
        // A separate process group, so that a terminal's signals reach only the supervisor, which passes each on once.
        options.processGroupID = 0
        do {
            let (reading, writing) = try FileDescriptor.pipe()
            state.withLock { $0.link = writing }
            defer { forgetProcess() }
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
                    $0.processID = "\(execution.processIdentifier)"
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

    /// The id of the process, or of the last one if none runs.
    var processID: String { state.withLock { $0.processID } }

    /// Asks the process to finish its jobs and end.
    func stop() {
        let link = state.withLock { $0.link.take() }
        try? link?.close()
    }

    /// Asks the process to cancel its jobs and end.
    func stopNow() {
        stop()
        send(.quit)
    }

    /// Kills the process.
    func kill() { send(.kill) }

    private func send(_ signal: Signal) {
        state.withLock { $0.send }?(signal)
    }

    private func forgetProcess() {
        stop()
        state.withLock { $0.send = nil }
    }
}

/// The way in which a child process ended.
enum ChildEnding: Sendable, Equatable {
    case exited(Int32)
    /// Ended by the signal of this number.
    case signalled(Int32)
    /// Could not be started, for this reason.
    case notStarted(String)

    /// True if it ended as requested.
    var isClean: Bool { self == .exited(0) || self == .exited(WorkerExit.recycled) }
}

/// The exit codes of `worker` other than 0 and 1.
enum WorkerExit {
    /// A job ran past its hard time limit, so the process ended (`EX_TEMPFAIL` of sysexits.h).
    static let hardTimeLimit: Int32 = 75
    /// A supervised process reached a `--recycle-…` limit and must be replaced.
    static let recycled: Int32 = 80
    /// The command line is invalid (`EX_USAGE`); restarting doesn't help.
    static let usage: Int32 = 64
}

/// A supervised process's link to its supervisor: standard input, whose end asks the process to shut down.
///
/// The end also comes when the supervisor was killed, so no process outlives it for long. It isn't counted as a signal,
/// so a service manager that signals all processes of a service at once doesn't seem to signal twice.
struct SupervisorLink: Sendable {
    /// Waits for the end of standard input, or until the task is cancelled.
    ///
    /// Returns true if the input has ended.
    func waitUntilClosed() async -> Bool {
        let (ends, feed) = AsyncStream.makeStream(of: Void.self)
        let source = DispatchSource.makeReadSource(fileDescriptor: 0)
        // A supervisor writes nothing, so standard input becomes readable only at its end.
        source.setEventHandler { feed.yield() }
        source.activate()
        defer { source.cancel() }
        for await _ in ends { return true }
        return false
    }
}

/// The command line of a supervised process, made from the supervisor's own.
struct ChildArguments: Sendable, Hashable {
    /// The supervisor's options that a child doesn't inherit: it gets a different value, or none.
    private static let replaced: Set<String> = ["--processes", "--name", "--health-port", "--health-file"]

    private let arguments: [String]
    private let name: String
    private let healthPort: UInt16?
    private let healthFile: String?

    /// - Parameter arguments: The supervisor's command line without the program's name.
    /// - Parameter name: The name of the supervisor, from which the children's names derive.
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
        // Arguments after `--` aren't options.
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
