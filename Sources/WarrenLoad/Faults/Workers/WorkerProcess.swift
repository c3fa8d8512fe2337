import Foundation

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
