import AMQP
import Foundation
import Synchronization

/// The worker processes of an experiment, each in a slot that it keeps when it is restarted.
final class WorkerPool: Sendable {
    private struct Slot: Sendable {
        var worker: WorkerProcess
        var generation = 0
        /// True if the worker is expected to end.
        var isStopping = false
    }

    private struct State: Sendable {
        var slots: [Slot] = []
        var crashes = 0
        var badExits = 0
    }

    private let configuration: WorkerConfiguration
    private let state = Mutex(State())

    init(_ configuration: WorkerConfiguration) { self.configuration = configuration }

    /// The number of slots.
    var count: Int { state.withLock { $0.slots.count } }
    /// The number of workers that ended by themselves.
    var crashes: Int { state.withLock { $0.crashes } }
    /// The number of workers that exited with an error after SIGTERM.
    var badExits: Int { state.withLock { $0.badExits } }
    /// The names of the workers that should be working.
    var names: [String] { state.withLock { $0.slots.filter { !$0.isStopping }.map(\.worker.name) } }
    /// The most memory that a worker has used so far, in MiB.
    var peakMemory: Double? { state.withLock { $0.slots.compactMap(\.worker.peakMemory).max() } }

    /// Starts a worker in a new slot.
    func start() throws {
        try state.withLock { state in
            let name = "worker-\(state.slots.count + 1)-0"
            state.slots.append(Slot(worker: try WorkerProcess(configuration, name: name)))
        }
    }

    /// Kills a worker as `kill -9` does, waits until it is gone, and returns its name.
    func kill(_ slot: Int) async throws -> String {
        let worker = markStopping(slot)
        worker.send(SIGKILL)
        try await waitUntil("worker \(worker.name) ends after SIGKILL", within: .seconds(10)) { !worker.isRunning }
        return worker.name
    }

    /// Asks a worker to shut down cleanly, and waits until it has.
    func terminate(_ slot: Int) async throws {
        let worker = markStopping(slot)
        worker.send(SIGTERM)
        do {
            try await waitUntil("worker \(worker.name) ends after SIGTERM", within: .seconds(40)) {
                !worker.isRunning
            }
        } catch {
            worker.send(SIGKILL)
            throw error
        }
        if !worker.exitedCleanly { state.withLock { $0.badExits += 1 } }
    }

    /// Starts a new worker in a slot whose worker has ended.
    func restart(_ slot: Int) throws {
        try state.withLock { state in
            let generation = state.slots[slot].generation + 1
            let worker = try WorkerProcess(configuration, name: "worker-\(slot + 1)-\(generation)")
            state.slots[slot] = Slot(worker: worker, generation: generation)
        }
    }

    /// Restarts workers that ended by themselves, until cancelled.
    func restartCrashed() async throws {
        while true {
            try await Task.sleep(for: .milliseconds(50))
            let crashed = state.withLock { state in
                let crashed = state.slots.indices.filter {
                    !state.slots[$0].isStopping && !state.slots[$0].worker.isRunning
                }
                for slot in crashed { state.slots[slot].isStopping = true }
                state.crashes += crashed.count
                return crashed
            }
            for slot in crashed { try restart(slot) }
        }
    }

    /// Shuts all workers down cleanly; those that don't end are killed.
    func terminateAll() async throws {
        try await withThrowingDiscardingTaskGroup { group in
            for slot in 0..<count { group.addTask { try await self.terminate(slot) } }
        }
    }

    /// Kills all workers.
    func killAll() {
        for slot in 0..<count { markStopping(slot).send(SIGKILL) }
    }

    private func markStopping(_ slot: Int) -> WorkerProcess {
        state.withLock { state in
            state.slots[slot].isStopping = true
            return state.slots[slot].worker
        }
    }
}

/// A worker process, running or ended.
struct WorkerProcess: Sendable {
    let name: String
    private let process: Process
    /// The worker's standard input, whose other end closes when this process ends, which the worker notices.
    private let input: Pipe

    /// Starts a worker; its log goes to a file beside its event log.
    init(_ configuration: WorkerConfiguration, name: String) throws {
        self.name = name
        let log = configuration.folder.appending(path: "\(name).log")
        try Data().write(to: log)
        process = Process()
        input = Pipe()
        process.executableURL = try Programs.own.url
        process.arguments = [
            "fault-worker", "--url", configuration.url, "--application", configuration.application, "--queues",
            configuration.queues.joined(separator: ","),
            "--event-log", configuration.folder.appending(path: name + EventLogReader.suffix).path, "--name", name,
            "--concurrency", String(configuration.concurrency), "--kind", configuration.kind.rawValue,
        ]
        // Crashes are expected, and a backtrace takes seconds.
        process.environment = ProcessInfo.processInfo.environment.merging(["SWIFT_BACKTRACE": "enable=no"]) { $1 }
        process.standardInput = input
        process.standardError = try FileHandle(forWritingTo: log)
        process.standardOutput = FileHandle.nullDevice
        try process.run()
    }

    var isRunning: Bool { process.isRunning }

    /// True if the process exited successfully.
    var exitedCleanly: Bool { !isRunning && process.terminationReason == .exit && process.terminationStatus == 0 }

    func send(_ signal: Int32) {
        if isRunning { kill(process.processIdentifier, signal) }
    }

    /// The most memory that the process has used so far, in MiB, where the system reports it.
    var peakMemory: Double? { Memory.mebibytes("VmHWM", of: process.processIdentifier) }
}

/// The settings that all workers of an experiment share.
struct WorkerConfiguration: Sendable {
    var url: String
    var application: String
    var queues: [String]
    var kind: QueueKind
    var folder: URL
    var concurrency: Int
}

/// The memory of a process, as the system reports it.
enum Memory {
    /// A line of `/proc/PID/status` in MiB; `nil` where there is no such file.
    static func mebibytes(_ key: String, of process: Int32 = ProcessInfo.processInfo.processIdentifier) -> Double? {
        guard let text = try? String(contentsOfFile: "/proc/\(process)/status", encoding: .utf8),
            let line = text.split(separator: "\n").first(where: { $0.hasPrefix(key + ":") })
        else { return nil }
        let number = line.split(whereSeparator: \.isWhitespace).dropFirst().first.flatMap { Double($0) }
        return number.map { $0 / 1024 }
    }
}
