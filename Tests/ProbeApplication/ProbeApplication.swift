import AMQP
import ArgumentParser
import Foundation
import Warren
import WarrenCommands

/// A program whose workers tell on standard output what they do, a line each: `begin NUMBER PID` and `done NUMBER PID`.
@main
struct ProbeApplication: WarrenApplication {
    struct TopologyOptions: ParsableArguments {
        @Option var application: String
    }

    static let jobs: [any Job.Type] = [Wait.self, Hang.self]

    static func topology(_ options: TopologyOptions, for queues: [QueueName]) -> Topology {
        Topology(application: options.application, queues: queues.map { QueueConfiguration($0) })
    }

    static func handlers(_ setup: WorkerSetup<NoOptions>) -> [JobRegistration] {
        Handler(Wait.self) { job, context in
            tell("begin", job.number)
            if job.isGated { try await waitForGate(of: context.queue, setup.broker) }
            tell("done", job.number)
        }
        Handler(Hang.self) { job, _ in
            tell("begin", job.number)
            // A handler that heeds nothing.
            await waitForEver()
        }
    }

    private static func tell(_ what: String, _ number: Int) {
        Output.line("\(what) \(number) \(ProcessInfo.processInfo.processIdentifier)")
    }

    /// Waits for a message in the queue that stands for a gate: each lets one job through.
    private static func waitForGate(of queue: QueueName, _ broker: any Transport) async throws {
        let gate = try await broker.consume(queue: queue.rawValue + ".gate", prefetch: 1, arguments: [:])
        let opened = try await gate.nextBatch().first
        opened?.ack()
        await gate.close()
        try Task.checkCancellation()
    }

    private static func waitForEver() async {
        let (never, feed) = AsyncStream.makeStream(of: Void.self)
        // A shield: the handler's task is cancelled, and must wait on.
        await Task { for await _ in never {} }.value
        feed.finish()
    }
}

/// A job that is done at once, or when the test opens its gate.
struct Wait: Job {
    static let name = "tests.wait"
    static let queue: QueueName = "unused"

    var number: Int
    var isGated: Bool
}

/// A job that never ends by itself; its limit is the sender's to give.
struct Hang: Job {
    static let name = "tests.hang"
    static let queue: QueueName = "unused"
    static let retry: RetryPolicy = .none

    var number: Int
}
