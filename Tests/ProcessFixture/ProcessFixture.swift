import AMQP
import ArgumentParser
import Foundation
import Warren
import WarrenCommands

/// The processes that tests signal and kill, one subcommand each.
///
/// It is itself an application: its workers write to standard output when they begin and finish a job, a line each:
/// `begin NUMBER PID` and `done NUMBER PID`.
@main
struct ProcessFixture: WarrenApplication {
    static let configuration = CommandConfiguration(
        abstract: "Processes for the tests to signal and kill.",
        subcommands: commands(with: [
            TrappingWorker.self, FillSpool.self, ReplaySpool.self, StoringClient.self, StoreMeasurement.self,
        ])
    )

    struct TopologyOptions: ParsableArguments {
        @Option var application: String
    }

    static let jobs: [any Job.Type] = [Wait.self, Hang.self]

    static func topology(_ options: TopologyOptions, for queues: [QueueName]) -> Topology {
        Topology(application: options.application, queues: queues.map { QueueConfiguration($0) })
    }

    static func handlers(_ setup: WorkerSetup<NoOptions>) -> [JobRegistration] {
        Handler(Wait.self) { job, context in
            report("begin", job.number)
            if job.isGated { try await waitForGate(of: context.queue, setup.broker) }
            report("done", job.number)
        }
        Handler(Hang.self) { job, _ in
            report("begin", job.number)
            await ignoreCancellation()
        }
    }

    private static func report(_ event: String, _ number: Int) {
        Output.line("\(event) \(number) \(ProcessInfo.processInfo.processIdentifier)")
    }

    /// Waits for a message in the queue that stands for a gate: each message lets one job through.
    private static func waitForGate(of queue: QueueName, _ broker: any Transport) async throws {
        let gate = try await broker.consume(queue: queue.rawValue + ".gate", prefetch: 1, arguments: [:])
        let opened = try await gate.nextBatch().first
        opened?.ack()
        await gate.cancel(requeuesUnsettled: true)
        try Task.checkCancellation()
    }

    /// Never returns.
    private static func ignoreCancellation() async {
        let (never, feed) = AsyncStream.makeStream(of: Void.self)
        // A shield: the handler's task is cancelled and must keep waiting.
        await Task { for await _ in never {} }.value
        feed.finish()
    }
}

/// A job that is finished at once, or when the test opens its gate.
struct Wait: Job {
    static let name = "tests.wait"
    static let queue: QueueName = "unused"

    var number: Int
    var isGated: Bool
}

/// A job that never finishes by itself; the sender sets its time limit.
struct Hang: Job {
    static let name = "tests.hang"
    static let queue: QueueName = "unused"
    static let retry: RetryPolicy = .none

    var number: Int
}
