import Dispatch
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

    /// The id of the process, also of the one that ended last.
    var processID: String { state.withLock { $0.processID } }

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

    private func forgetProcess() {
        stop()
        state.withLock { $0.send = nil }
    }
}

/// How a child process ended.
enum ChildEnding: Sendable, Equatable {
    case exited(Int32)
    /// A signal ended it: its number.
    case signalled(Int32)
    /// There was no process, for this reason.
    case notStarted(String)

    /// Whether it ended as one does that was told to.
    var isClean: Bool { self == .exited(0) || self == .exited(WorkerExit.recycled) }
}

/// The exit codes of `worker` that say more than that it failed.
enum WorkerExit {
    /// A job didn't end at its hard time limit, so the process did (`EX_TEMPFAIL` of sysexits.h).
    static let hardTimeLimit: Int32 = 75
    /// A supervised process did all that `--recycle-…` lets it do, and wants to be replaced.
    static let recycled: Int32 = 80
    /// The command line can't be understood (`EX_USAGE`); starting again doesn't change that.
    static let usage: Int32 = 64
}

/// What a supervised process has of its supervisor: standard input, whose end means that it is to stop in order.
///
/// The end also comes when the supervisor was killed, so no process outlives it for long. It isn't counted as a signal,
/// so that a service manager that signals all processes of a service at once isn't taken for one that signals twice.
struct SupervisorLink: Sendable {
    /// Waits for the end, or until the task is cancelled.
    ///
    /// True if it has come.
    func waitUntilClosed() async -> Bool {
        let (ends, feed) = AsyncStream.makeStream(of: Void.self)
        let source = DispatchSource.makeReadSource(fileDescriptor: 0)
        // A supervisor writes nothing, so what can be read is the end.
        source.setEventHandler { feed.yield() }
        source.activate()
        defer { source.cancel() }
        for await _ in ends { return true }
        return false
    }
}

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
