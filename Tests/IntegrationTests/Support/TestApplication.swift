import AMQP
import Foundation
import Logging
import ServiceLifecycle
import Synchronization
import TestSupport
import Testing
import Warren

/// An application of one test's own on the test's broker: its exchanges and queues have a name that no other test uses.
struct TestApplication: Sendable {
    let client: any Transport
    let topology: Topology
    /// The application's one job queue.
    let queue: QueueName
    let jobs: JobClient

    /// Runs `body` beside an application, and deletes all that is the application's afterwards, also when `body`
    /// throws.
    ///
    /// The delay ladder stays: it belongs to the virtual host.
    static func with(
        lanes: [Lane] = [.normal],
        kind: QueueKind = .quorum,
        declaresTopology: Bool = true,
        _ body: (TestApplication) async throws -> Void
    ) async throws {
        try await withTransport { client in
            let name = TestBroker.uniqueName("app")
            let queue = QueueName(name + ".jobs")
            let topology = Topology(application: name, queues: [QueueConfiguration(queue, kind: kind, lanes: lanes)])
            let application = TestApplication(
                client: client,
                topology: topology,
                queue: queue,
                jobs: JobClient(client, topology: topology)
            )
            let result: Result<Void, any Error>
            do {
                if declaresTopology { _ = try await application.declare() }
                result = .success(try await body(application))
            } catch {
                result = .failure(error)
            }
            await application.delete()
            try result.get()
        }
    }

    func declare() async throws -> TopologyReport {
        try await topology.plan(broker: client.broker().version).apply(to: client)
    }

    private func delete() async {
        let lanes = Lane.all.map { $0.queue(of: queue) }
        for name in lanes + [queue.dead, queue.parked] { _ = try? await client.deleteQueue(name) }
        for name in [topology.exchange, topology.deadExchange] { try? await client.deleteExchange(name) }
    }

    func worker(
        concurrency: Int = 4,
        prefetch: Int? = nil,
        lanes: LanePolicy = .strict,
        breaker: CircuitBreakerPolicy? = nil,
        settings: WorkerSettings = WorkerSettings(name: "integration", unparkingInterval: .milliseconds(200)),
        @HandlerBuilder handlers: () -> [JobRegistration]
    ) -> Worker {
        Worker(
            client,
            queues: [
                WorkerQueue(queue, concurrency: concurrency, prefetch: prefetch, lanes: lanes, circuitBreaker: breaker)
            ],
            topology: topology,
            settings: settings,
            logger: .quiet,
            handlers: handlers
        )
    }

    /// Runs a worker while `body` runs, then shuts it down cleanly.
    func run(_ worker: Worker, _ body: () async throws -> Void) async throws {
        try await serve(worker) { shutDown in
            try await body()
            await shutDown()
        }
    }

    /// Runs a worker as a service; `body` gets a function that shuts it down cleanly.
    ///
    /// Returns when the worker has ended.
    func serve(_ worker: Worker, _ body: (@escaping @Sendable () async -> Void) async throws -> Void) async throws {
        let service = ServiceGroupConfiguration.ServiceConfiguration(
            service: worker,
            successTerminationBehavior: .gracefullyShutdownGroup
        )
        let logger = Logger.quiet
        let group = ServiceGroup(configuration: .init(services: [service], logger: logger))
        try await withThrowingTaskGroup(of: Void.self) { tasks in
            tasks.addTask { try await group.run() }
            do {
                try await body { await group.triggerGracefulShutdown() }
                try await tasks.waitForAll()
            } catch {
                await group.triggerGracefulShutdown()
                throw error
            }
        }
    }

    /// The number of ready messages in a queue.
    func ready(_ name: String) async throws -> Int { try await client.status(ofQueue: name).messageCount }

    /// Waits until a queue holds that many ready messages; the broker can only be asked.
    ///
    /// The test's time limit bounds it.
    func until(_ name: String, holds count: Int) async throws {
        try await TestSupport.until { try await ready(name) == count }
    }
}
