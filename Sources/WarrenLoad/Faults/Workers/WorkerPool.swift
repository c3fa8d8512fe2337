import Foundation
import Synchronization

/// The worker processes of an experiment, each in a place that it keeps when it is started again.
final class WorkerCrew: Sendable {
    private struct Place: Sendable {
        var worker: WorkerProcess
        var generation = 0
        /// Whether its end is wanted.
        var isDismissed = false
    }

    private struct State: Sendable {
        var places: [Place] = []
        var crashes = 0
        var badEnds = 0
    }

    private let order: WorkerOrder
    private let state = Mutex(State())

    init(_ order: WorkerOrder) { self.order = order }

    /// How many places there are.
    var count: Int { state.withLock { $0.places.count } }
    /// How many workers ended by themselves.
    var crashes: Int { state.withLock { $0.crashes } }
    /// How many workers ended badly after SIGTERM.
    var badEnds: Int { state.withLock { $0.badEnds } }
    /// The names of the workers that are there to work.
    var names: [String] { state.withLock { $0.places.filter { !$0.isDismissed }.map(\.worker.name) } }
    /// The largest memory that a worker had so far, in MiB.
    var peakMemory: Double? { state.withLock { $0.places.compactMap(\.worker.peakMemory).max() } }

    /// Adds a place with a worker.
    func hire() throws {
        try state.withLock { state in
            let name = "worker-\(state.places.count + 1)-0"
            state.places.append(Place(worker: try WorkerProcess(order, name: name)))
        }
    }

    /// Kills a worker as `kill -9` does, waits until it is gone, and returns its name.
    func kill(_ place: Int) async throws -> String {
        let worker = dismiss(place)
        worker.send(SIGKILL)
        try await Patience.wait("worker \(worker.name) ends after SIGKILL", within: .seconds(10)) { !worker.isRunning }
        return worker.name
    }

    /// Asks a worker to end in order, and waits until it did.
    func terminate(_ place: Int) async throws {
        let worker = dismiss(place)
        worker.send(SIGTERM)
        do {
            try await Patience.wait("worker \(worker.name) ends after SIGTERM", within: .seconds(40)) {
                !worker.isRunning
            }
        } catch {
            worker.send(SIGKILL)
            throw error
        }
        if !worker.endedWell { state.withLock { $0.badEnds += 1 } }
    }

    /// Puts a new worker into a place whose worker has ended.
    func restart(_ place: Int) throws {
        try state.withLock { state in
            let generation = state.places[place].generation + 1
            let worker = try WorkerProcess(order, name: "worker-\(place + 1)-\(generation)")
            state.places[place] = Place(worker: worker, generation: generation)
        }
    }

    /// Starts again what ended by itself, until cancelled.
    func replaceFallen() async throws {
        while true {
            try await Task.sleep(for: .milliseconds(50))
            let fallen = state.withLock { state in
                let fallen = state.places.indices.filter {
                    !state.places[$0].isDismissed && !state.places[$0].worker.isRunning
                }
                for place in fallen { state.places[place].isDismissed = true }
                state.crashes += fallen.count
                return fallen
            }
            for place in fallen { try restart(place) }
        }
    }

    /// Ends all in order; what doesn't end is killed.
    func terminateAll() async throws {
        try await withThrowingDiscardingTaskGroup { group in
            for place in 0..<count { group.addTask { try await self.terminate(place) } }
        }
    }

    /// Ends all at once.
    func killAll() {
        for place in 0..<count { dismiss(place).send(SIGKILL) }
    }

    private func dismiss(_ place: Int) -> WorkerProcess {
        state.withLock { state in
            state.places[place].isDismissed = true
            return state.places[place].worker
        }
    }
}

/// A worker process that runs or ran.
struct WorkerProcess: Sendable {
    let name: String
    private let process: Process
    /// Its other end is closed when this process ends, which the worker notices.
    private let input: Pipe

    /// Starts a worker; what it says goes to a file beside its journal.
    init(_ order: WorkerOrder, name: String) throws {
        self.name = name
        let log = order.folder.appending(path: "\(name).log")
        try Data().write(to: log)
        process = Process()
        input = Pipe()
        process.executableURL = try Programs.own.url
        process.arguments = [
            "fault-worker", "--url", order.url, "--application", order.application, "--queue", order.queue,
            "--journal", order.folder.appending(path: name + JournalReader.suffix).path, "--name", name,
            "--concurrency", String(order.concurrency),
        ]
        // A crash is part of the game, and its backtrace takes seconds.
        process.environment = ProcessInfo.processInfo.environment.merging(["SWIFT_BACKTRACE": "enable=no"]) { $1 }
        process.standardInput = input
        process.standardError = try FileHandle(forWritingTo: log)
        process.standardOutput = FileHandle.nullDevice
        try process.run()
    }

    var isRunning: Bool { process.isRunning }

    /// Whether it ended as a program that has nothing to complain of.
    var endedWell: Bool { !isRunning && process.terminationReason == .exit && process.terminationStatus == 0 }

    func send(_ signal: Int32) {
        if isRunning { kill(process.processIdentifier, signal) }
    }

    /// The most memory it had so far, in MiB, where the system tells.
    var peakMemory: Double? { Memory.mebibytes("VmHWM", of: process.processIdentifier) }
}

/// What all workers of an experiment are told.
struct WorkerOrder: Sendable {
    var url: String
    var application: String
    var queue: String
    var folder: URL
    var concurrency: Int
}

/// What the system says of a process's memory.
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
