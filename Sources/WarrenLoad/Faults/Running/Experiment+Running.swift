import AMQP
import Foundation
import RabbitMQ
import Warren

extension Experiment {
    /// Makes an experiment: `script` does the harm while workers run and jobs come; afterwards all is counted.
    static func run(
        _ name: String,
        _ context: FaultContext,
        _ setup: Setup,
        script: (Experiment) async throws -> Void,
        judge: (Experiment, Ledger) -> Void = { _, _ in }
    ) async throws -> FaultReport {
        let experiment = Experiment(name, context, setup)
        let result: Result<FaultReport, any Error>
        do {
            result = .success(try await experiment.conduct(script, judge))
        } catch {
            experiment.crew.killAll()
            result = .failure(error)
        }
        await experiment.client.close()
        await experiment.observer.close()
        return try result.get()
    }

    private func conduct(
        _ script: (Experiment) async throws -> Void,
        _ judge: (Experiment, Ledger) -> Void
    ) async throws -> FaultReport {
        let plan = topology.plan(for: [queue], delays: false, broker: try await observer.broker().version)
        _ = try await plan.apply(to: observer)
        for _ in 0..<setup.workers { try crew.hire() }
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask { try await self.followJournals() }
            group.addTask { try await self.crew.replaceFallen() }
            try await Patience.wait("all workers consume '\(queue)'", within: .seconds(30)) {
                try await observer.status(ofQueue: queue.rawValue).consumerCount == setup.workers
            }
            group.addTask { await self.enqueuer.run() }
            do {
                try await script(self)
            } catch {
                try Task.checkCancellation()
                broke("\(error)")
            }
            try await goOnUntilAllWork()
            enqueuer.finish()
            try await settle()
            group.cancelAll()
            while await group.nextResult() != nil {}
        }
        await note(peakMemory: crew.peakMemory)
        try await crew.terminateAll()
        try book.readJournals()
        try await countWhatIsLeft()
        let ledger = book.with { $0 }
        judge(self, ledger)
        let report = report(ledger)
        try await cleanUp()
        return report
    }

    private func note(peakMemory: Double?) async {
        if let peakMemory { figure("worker_peak_mib", peakMemory) }
    }

    private func followJournals() async throws {
        while true {
            try book.readJournals()
            try await Task.sleep(for: .milliseconds(20))
        }
    }

    /// Lets jobs come until every worker has done one since the last fault ended: a worker that only seems to be alive must show.
    private func goOnUntilAllWork() async throws {
        guard let last = marks.last, setup.workers > 0 else { return }
        var idle: [String] = []
        try? await Patience.wait("every worker works", within: .seconds(20)) {
            let works = book.with { $0.firstCompletions(after: last) }
            idle = crew.names.filter { works[$0] == nil }
            return idle.isEmpty
        }
        try Task.checkCancellation()
        owe(idle.isEmpty, "idle 20 s after the fault: \(idle.joined(separator: ", "))")
        let times = book.with { $0.firstCompletions(after: last) }.filter { crew.names.contains($0.key) }
        if let slowest = times.values.max() { figure("slowest_worker_s", slowest) }
    }

    /// Waits until all jobs are enqueued, and each is done or dead.
    private func settle() async throws {
        do {
            try await Patience.wait("the caller gets all jobs enqueued", within: .seconds(120)) { enqueuer.isFinished }
        } catch {
            try Task.checkCancellation()
            broke("\(error) The last error: \(enqueuer.failures.last)")
        }
        try? await Patience.wait("all jobs are settled", within: context.size(short: .seconds(30), long: .seconds(120)))
        {
            let open = book.with { ledger in ledger.open.subtracting(ledger.waived).count }
            if open == 0 { return true }
            return (try? await observer.status(ofQueue: queue.dead).messageCount).map { $0 >= open } ?? false
        }
        try Task.checkCancellation()
    }

    /// Takes what is left out of the queues, into the ledger.
    private func countWhatIsLeft() async throws {
        for name in [queue.rawValue, queue.parked] {
            try await drain(name) { id, _, ledger in ledger.leave(id) }
        }
        try await drain(queue.dead) { id, letter, ledger in
            ledger.bury(id, reason: letter.record.reason?.rawValue ?? Self.brokersReason(letter.message))
        }
    }

    private func drain(
        _ name: String,
        _ body: @escaping @Sendable (String, DeadLetter, inout Ledger) -> Void
    ) async throws {
        while let delivery = try await observer.get(queue: name) {
            let letter = DeadLetter(delivery.message, of: queue)
            let properties = delivery.message.properties
            let id = properties.headers?[FaultWorkerCommand.idHeader]?.stringValue ?? letter.id ?? properties.messageID
            book.with { body(id ?? "nameless", letter, &$0) }
            delivery.ack()
        }
    }

    /// Why the broker moved a message to the dead queue by itself.
    private static func brokersReason(_ message: Message) -> String {
        let death = message.properties.headers?["x-death"]?.arrayValue?.first?.tableValue
        return death?["reason"]?.stringValue.map { "broker: \($0)" } ?? "none"
    }

    private func cleanUp() async throws {
        for name in [queue.rawValue, queue.dead, queue.parked] { try await observer.deleteQueue(name) }
        for name in [topology.exchange, topology.deadExchange] { try await observer.deleteExchange(name) }
    }
}
