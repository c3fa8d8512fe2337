import AMQP
import Foundation
import RabbitMQ
import Synchronization
import Warren

/// Messages that are no jobs, between jobs that are.
struct HostileBytes: Fault {
    /// How much memory a worker may take at most, in MiB: what 16 slots need for bodies of 16 MiB, several copies of each, and room.
    static let memoryLimit = 1_536.0

    let name = "hostile-bytes"
    let summary = "mutated envelopes and headers, bodies of 16 MiB, JSON 100,000 deep"

    func run(_ context: FaultContext) async throws -> FaultReport {
        let broker = try await context.brokers.shared()
        let setup = Experiment.Setup(broker: try await broker.url(), load: .standard(context))
        let count = context.size(short: 1_000, long: 100_000)
        let unusual = context.size(short: 4, long: 40)
        return try await Experiment.run(name, context, setup) { experiment in
            let hostile = HostileMessages(sample: try await sample(experiment))
            try await publish(experiment, count) { hostile.message($0) }
            try await publish(experiment, unusual, from: count) { hostile.deep($0, levels: 100_000) }
            try await publish(experiment, unusual, from: count + unusual, callers: 2) { hostile.large($0) }
            // The queue is first in, first out: what comes now would only wait behind them.
            try await Patience.wait("the hostile messages are worked off", within: .seconds(240)) {
                try await experiment.observer.status(ofQueue: experiment.queue.rawValue).messageCount < 100
            }
            experiment.mark(countsNewJobsOnly: true)
        } judge: { experiment, ledger in
            let hostile = ledger.confirmed.keys.filter { $0.hasPrefix("hostile-") }
            let done = Set(ledger.completions.map(\.id))
            experiment.figure("hostile", Double(hostile.count))
            experiment.figure("harmless", Double(hostile.count { done.contains($0) }))
            experiment.figure("parked", Double(ledger.queued.count))
            let silent = ledger.dead.filter { $0.value == "none" || $0.value.hasPrefix("broker") }
            experiment.owe(silent.isEmpty, "dead without a reason: \(silent.keys.sorted().prefix(5))")
            let hurt = ledger.dead.keys.filter { $0.hasPrefix("job-") }
            experiment.owe(hurt.isEmpty, "good jobs are dead: \(hurt.sorted().prefix(5))")
            let peak = experiment.findings.figures.last { $0.name == "worker_peak_mib" }?.value ?? 0
            experiment.owe(peak <= Self.memoryLimit, "a worker took \(peak) MiB")
        }
    }

    /// A message as it is in the queue when all is well.
    private func sample(_ experiment: Experiment) async throws -> Message {
        let other = Topology(application: experiment.topology.application + "-sample")
        let queue = QueueName(experiment.queue.rawValue + "-sample")
        let client = experiment.observer
        let jobs = JobClient(client, topology: other)
        try await jobs.enqueue(FaultJob(milliseconds: 1, text: "ä, ☃ and \"quotes\""), queue: queue)
        guard let delivery = try await client.get(queue: queue.rawValue) else { throw LoadError("The sample is gone.") }
        delivery.ack()
        for name in [queue.rawValue, queue.dead, queue.parked] { try await client.deleteQueue(name) }
        for name in [other.exchange, other.deadExchange] { try await client.deleteExchange(name) }
        return delivery.message
    }

    private func publish(
        _ experiment: Experiment,
        _ count: Int,
        from first: Int = 0,
        callers: Int = Load.callers,
        _ message: @escaping @Sendable (Int) -> Message
    ) async throws {
        try await withThrowingDiscardingTaskGroup { group in
            for caller in 0..<callers {
                group.addTask {
                    for number in stride(from: first + caller, to: first + count, by: callers) {
                        let began = WallClock.now
                        let message = message(number)
                        do throws(AMQPError) {
                            try await experiment.observer.publish(message, to: .queue(experiment.queue.rawValue))
                            experiment.book.with { $0.confirm(message.properties.messageID ?? "", begunAt: began) }
                        } catch {
                            // The client sees by itself that the broker wouldn't take some of them.
                            guard error.code == .invalidArgument else { throw error }
                        }
                    }
                }
            }
        }
    }
}
