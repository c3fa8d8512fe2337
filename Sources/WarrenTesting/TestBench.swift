public import AMQP
public import EmbeddedBroker
public import Foundation
import Logging
import Testing
public import Warren

/// What one test of jobs works with: a broker in this process, a clock that stands still, and a client.
///
/// The trait `.embeddedBroker` makes one for each test; ``current`` is it. A test of its own making may also have several.
public final class TestBench: Sendable {
    /// The broker, empty at first: give it to the code under test in RabbitMQ's place.
    public let broker: EmbeddedBroker
    /// The time of broker and workers; it moves when the test says so.
    public let clock: VirtualClock
    /// The application's queues, as far as they differ from the default.
    public let topology: Topology
    /// A client of the broker: give it to the code under test.
    public let jobs: JobClient

    @TaskLocal private static var bound: TestBench?

    /// A bench with an empty broker.
    ///
    /// - Parameter topology: The application's own, if its queues differ from the default.
    /// - Parameter version: The RabbitMQ that the broker behaves as.
    public init(topology: Topology = Topology(), version: BrokerVersion = BrokerVersion(4, 3)) {
        let clock = VirtualClock()
        self.clock = clock
        self.topology = topology
        broker = EmbeddedBroker(version: version, clock: clock)
        jobs = JobClient(broker, topology: topology, now: { clock.date })
    }

    /// The bench of the test that runs.
    ///
    /// A test without the trait `.embeddedBroker` has none: that is a mistake in the test, and ends it.
    public static var current: TestBench {
        guard let bound else {
            preconditionFailure("This test has no bench: give it, or its suite, the trait .embeddedBroker.")
        }
        return bound
    }

    /// The wall-clock time by ``clock``.
    public var now: Date { clock.date }

    /// A worker on this broker, in this bench's time.
    ///
    /// It works on the queues of its handlers' jobs, one job at a time, unless told otherwise.
    ///
    /// - Parameter middleware: The application's own: a test of a handler is one of its middleware too.
    public func worker(
        queues: [WorkerQueue] = [],
        concurrency: Int = 1,
        settings: WorkerSettings = WorkerSettings(name: "test"),
        middleware: [any JobMiddleware] = [],
        @HandlerBuilder handlers: () -> [JobRegistration]
    ) -> Worker {
        let registrations = handlers()
        var settings = settings
        // Parked jobs are looked for once: from then on nothing but jobs moves the clock.
        settings.unparkingInterval = .seconds(100 * 365 * 86_400)
        var own: [QueueName] = []
        for queue in registrations.map(\.queue) where !own.contains(queue) { own.append(queue) }
        return Worker(
            broker,
            queues: queues.isEmpty ? own.map { WorkerQueue($0) } : queues,
            concurrency: concurrency,
            topology: topology,
            settings: settings,
            middleware: middleware,
            logger: Logger(label: "warren.testing") { _ in SwiftLogNoOpLogHandler() },
            clock: clock,
            now: { [clock] in clock.date },
            handlers: { registrations }
        )
    }

    /// Runs `body` with this bench as ``current``.
    func bind<Value>(_ body: () async throws -> Value) async rethrows -> Value {
        try await Self.$bound.withValue(self, operation: body)
    }
}
