import AMQP
import Foundation
import RabbitMQ
import Warren

/// One of ten queues that nobody can consume for a while, because its only member is on a stopped node.
struct QueueUnavailable: Fault {
    let name = "queue-unavailable"
    let summary = "one of ten quorum queues without a leader, its node stopped: the nine others"

    private let queue: QueueName = "faults-queue-unavailable-tenth"
    /// The node that has the queue's only member; workers and callers use another.
    private let home = 3
    /// The least part of the rate before the fault that must be left during it.
    private let leastRate = 0.75

    /// Runs the experiment.
    ///
    /// While the queue is unavailable, as many workers again are started, and then the consumers' connections of one
    /// worker are closed: both new consumers and those that recover try to consume it. No job of the other queues may
    /// be delivered again for that, apart from those that the closed connections held.
    func run(_ context: FaultContext) async throws -> FaultReport {
        let cluster = try await context.brokers.cluster()
        let nodes = try await cluster.nodes()
        try await declareQueue(at: nodes[home - 1].url)
        var load = JobLoad.standard(context)
        load.jobs = context.size(short: 5_000, long: 30_000)
        var setup = Experiment.Setup(broker: nodes[0].url, load: load)
        setup.queues = 9
        setup.otherQueue = queue
        return try await Experiment.run(name, context, setup) { experiment in
            let jobs = context.size(short: 20, long: 500)
            let period = context.size(short: Duration.seconds(8), long: .seconds(30))
            try await runJobs(jobs, named: "early", experiment)
            let rateBefore = try await experiment.rate(over: period)

            try await cluster.stop(node: home)
            for _ in 0..<setup.workers { try experiment.pool.start() }
            try await experiment.waitUntilConsumed(
                experiment.queues,
                by: 2 * setup.workers,
                within: .seconds(30)
            )
            let rateDuring = try await experiment.rate(over: period)
            let redelivered = experiment.ledger.with { $0.redelivered() }

            try await closeConnections(named: "worker-1-0 (consume)", of: cluster)
            let closed = WallClock.now
            let rateReconnected = try await experiment.rate(over: period)
            let redeliveredLater = experiment.ledger.with { $0.redelivered(enqueuedSince: closed) }

            try await cluster.start()
            experiment.mark()
            let returned = WallClock.now
            try await runJobs(jobs, named: "late", experiment)
            experiment.figure("queue_back_s", Double(WallClock.now - returned) / 1e6)
            try await experiment.waitUntilConsumed([queue], by: 2 * setup.workers, within: .seconds(60))
            let rateAfter = try await experiment.rate(over: period)

            experiment.figure("redelivered", Double(redelivered))
            experiment.figure("redelivered_reconnected", Double(redeliveredLater))
            experiment.figure("per_s_before", rateBefore)
            experiment.figure("per_s_during", rateDuring)
            experiment.figure("per_s_reconnected", rateReconnected)
            experiment.figure("per_s_after", rateAfter)
            experiment.require(redelivered == 0, "\(redelivered) jobs of the other queues were redelivered")
            experiment.require(
                redeliveredLater == 0,
                "\(redeliveredLater) jobs enqueued after the connections' close were redelivered"
            )
            for (rate, time) in [(rateDuring, "during the fault"), (rateReconnected, "after the close")] {
                experiment.require(
                    rate >= leastRate * rateBefore,
                    "\(FaultReport.number(rate)) jobs/s \(time), \(FaultReport.number(rateBefore)) before"
                )
            }
        } verify: { experiment, ledger in
            experiment.require(
                ledger.duplicated <= ledger.redelivered(),
                "\(ledger.duplicated) duplicates, but only \(ledger.redelivered()) redeliveries"
            )
        }
    }

    /// Declares the queue as the workers will, but on one node only.
    private func declareQueue(at url: String) async throws {
        let client = try RabbitMQClient(url: url, connectionName: "declarer of \(name)")
        do {
            let topology = Topology(application: "faults-\(name)")
            let plan = topology.plan(for: [queue], delays: false, broker: try await client.broker().version)
            for case .queue(var declaration) in plan.steps where declaration.name == queue.rawValue {
                declaration.arguments.quorumInitialGroupSize = 1
                try await client.declare(declaration)
            }
        } catch {
            await client.close()
            throw error
        }
        await client.close()
    }

    private func closeConnections(named name: String, of cluster: FaultBroker) async throws {
        let closed = try await cluster.ctl(
            "eval",
            """
            length([rabbit_networking:close_connection(Pid, "fault experiment") ||
                [{pid, Pid}, {client_properties, Properties}]
                    <- rabbit_networking:connection_info_all([pid, client_properties]),
                {<<"connection_name">>, longstr, <<"\(name)">>} <- Properties]).
            """
        )
        guard let count = Int(closed.trimmingCharacters(in: .whitespacesAndNewlines)), count > 0 else {
            throw LoadError("No connection is named '\(name)': \(closed)")
        }
    }

    /// Enqueues jobs to the queue, and waits until they are done.
    private func runJobs(_ count: Int, named prefix: String, _ experiment: Experiment) async throws {
        let ids = (1...count).map { "\(prefix)-\($0)" }
        for id in ids {
            let began = WallClock.now
            try await experiment.jobs.enqueue(FaultJob(milliseconds: 1), queue: queue, id: id)
            experiment.ledger.with { $0.recordConfirmed(id, begunAt: began) }
        }
        try await waitUntil("the jobs '\(prefix)' of '\(queue)' are done", within: .seconds(60)) {
            experiment.ledger.with { $0.open.isDisjoint(with: ids) }
        }
    }
}
