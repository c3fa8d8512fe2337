import AMQP
import Foundation
import Subprocess
import TestSupport
import Testing
import Warren

#if canImport(System)
import System
#else
import SystemPackage
#endif

/// The program `ProcessFixture`, run as a worker on an application's queue.
struct ProbeProcess: Sendable {
    /// A line of the program's output: what a job did, and in which process.
    struct Line: Sendable, Hashable {
        var what: String
        var number: Int
        var process: Int32
    }

    /// The way in which the program ended.
    struct Ending: Sendable {
        var exitCode: Int32?
        var log: String
    }

    let lines: Recorder<Line>
    private let send: @Sendable (Signal) -> Void

    /// Sends a signal to the program.
    func signal(_ signal: Signal) { send(signal) }

    /// Runs the program's `worker` while `body` runs, which has to end it, and until it has ended.
    static func run(
        _ application: TestApplication,
        _ options: [String] = [],
        _ body: @escaping @Sendable (ProbeProcess) async throws -> Void
    ) async throws -> Ending {
        let lines = Recorder<Line>()
        let arguments =
            [
                "worker", "--queues", application.queue.rawValue, "--application", application.topology.application,
                "--broker", try #require(TestBroker.url), "--concurrency", "2",
            ] + options
        let result = try await Subprocess.run(
            .path(FilePath(try BuiltProgram.processFixture)),
            arguments: Arguments(arguments),
            input: .none,
            output: .sequence,
            error: .string(limit: 1 << 20)
        ) { execution in
            let process = ProbeProcess(lines: lines) { signal in try? execution.send(signal: signal) }
            try await withThrowingTaskGroup(of: Void.self) { group in
                group.addTask {
                    for try await text in execution.standardOutput.strings() {
                        if let line = Line(text) { lines.record(line) }
                    }
                }
                group.addTask {
                    do {
                        try await body(process)
                    } catch {
                        try? execution.send(signal: .kill)
                        throw error
                    }
                }
                try await group.waitForAll()
            }
        }
        let code: Int32? = if case .exited(let code) = result.terminationStatus { code } else { nil }
        return Ending(exitCode: code, log: result.standardError)
    }
}

extension ProbeProcess.Line {
    fileprivate init?(_ text: String) {
        let words = text.split(separator: " ")
        guard words.count == 3, let number = Int(words[1]), let process = Int32(words[2]) else { return nil }
        self.init(what: String(words[0]), number: number, process: process)
    }
}

/// The jobs of the fixture's workers, as their sender enqueues them.
enum ProbeJobs {
    /// Enqueues a job that is done at once, or if it is gated, when ``openGate(on:)`` lets it.
    static func wait(_ number: Int, isGated: Bool = false, on application: TestApplication) async throws {
        if isGated { try await application.client.declare(gate(of: application)) }
        _ = try await application.jobs.enqueue(
            name: "tests.wait",
            json: #"{"number": \#(number), "isGated": \#(isGated)}"#,
            queue: application.queue
        )
    }

    /// Lets one job through.
    static func openGate(on application: TestApplication) async throws {
        let gate = gate(of: application).name
        try await application.client.publish(
            Message(body: []),
            to: .queue(gate),
            mandatory: true,
            deadline: .now + .seconds(60)
        )
    }

    /// It goes by itself, soon after the test.
    private static func gate(of application: TestApplication) -> QueueDeclaration {
        QueueDeclaration(
            application.queue.rawValue + ".gate",
            arguments: QueueArguments(.classic) { $0.expires = .seconds(120) }
        )
    }

    static func hang(_ number: Int, limit: Duration? = nil, on application: TestApplication) async throws {
        _ = try await application.jobs.enqueue(
            name: "tests.hang",
            json: #"{"number": \#(number)}"#,
            queue: application.queue,
            timeLimits: TimeLimits(hard: limit)
        )
    }
}

extension TestApplication {
    /// Waits until the queue has this number of consumers, by asking the broker repeatedly.
    func untilConsumers(_ count: Int) async throws {
        try await TestSupport.until { try await client.status(ofQueue: queue.rawValue).consumerCount == count }
    }
}

/// A health file of a worker's process, which is polled.
struct ProbeHealth: Sendable {
    let file = FileManager.default.temporaryDirectory.appending(path: "\(TestBroker.uniqueName("health")).json")

    /// The options by which a worker writes it.
    var options: [String] { ["--health-file", file.path, "--health-interval", "50ms"] }

    /// Waits until the file contains the expected lines.
    ///
    /// - Parameter child: Which of a supervisor's processes writes the file; `nil` if there is no supervisor.
    func until(child: Int? = nil, _ condition: (WorkerHealth) -> Bool) async throws -> WorkerHealth {
        let suffix = child.map { "-\($0)" } ?? ""
        let path = "\(file.deletingPathExtension().path)\(suffix).json"
        let decoder = JSONDecoder()
        decoder.dateDecodingStrategy = .iso8601
        var found: WorkerHealth?
        try await TestSupport.until {
            let data = try? Data(contentsOf: URL(filePath: path))
            found = data.flatMap { try? decoder.decode(WorkerHealth.self, from: $0) }
            return found.map(condition) ?? false
        }
        return try #require(found)
    }
}
