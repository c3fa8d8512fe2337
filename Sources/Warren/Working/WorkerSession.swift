import AMQP
import Logging
import Synchronization

/// One run of a worker: its readers, slots and the way it ends.
final class WorkerSession: Sendable {
    private let worker: Worker
    private let parts: [QueueSession]
    private let consumers = Consumers()
    private let declarer: TopologyDeclarer
    private let impatience = Latch()
    private let failure = Mutex<(any Error)?>(nil)

    /// Checks the worker's settings and puts its parts together; nothing is started.
    ///
    /// - Throws: ``WarrenError`` if queues or handlers make no sense.
    init(_ worker: Worker) throws(WarrenError) {
        try worker.topology.validate()
        guard !worker.queues.isEmpty, Set(worker.queues.map(\.name)).count == worker.queues.count else {
            throw WarrenError(.invalidConfiguration, "A worker needs at least one queue, and each only once.")
        }
        for queue in worker.queues { try queue.validate(default: worker.concurrency) }
        let registry = try JobRegistry(worker.registrations)
        let declarer = TopologyDeclarer(worker)
        self.worker = worker
        self.declarer = declarer
        parts = worker.queues.map { QueueSession($0, worker: worker, registry: registry, declarer: declarer) }
    }

    /// Tells the session to end.
    ///
    /// Impatiently: without waiting for running jobs before they are cancelled.
    func stop(isImpatient: Bool) {
        if isImpatient { impatience.open() }
        consumers.stop()
    }

    /// Works until ``stop(isImpatient:)`` is called or a queue can't be consumed any more.
    func run() async throws {
        let ended = Latch()
        // Unstructured, because a handler may ignore its cancellation for ever, and structured concurrency would wait for it as long.
        // Its end is awaited below, for as long as the settings allow; what is left then is handed back and abandoned.
        let work = Task {
            await self.work()
            ended.open()
        }
        await consumers.stopping.wait()
        await consumers.cancelAll()
        for part in parts { part.handBackWaiting() }
        await end(work, ended)
        await consumers.closeAll()
        if let error = failure.withLock({ $0 }) { throw error }
    }

    private func work() async {
        await withDiscardingTaskGroup { group in
            if worker.settings.declaresTopology {
                group.addTask {
                    await self.attempt { try await self.declarer.prepareLadder(until: self.consumers.stopping) }
                }
            } else {
                declarer.ladderIsReady.open()
            }
            for part in parts {
                for reader in part.readers(consumers) {
                    group.addTask { await self.attempt { try await reader.run() } }
                }
                for slot in part.slots {
                    group.addTask { await part.work(in: slot) }
                }
                group.addTask { await part.releaseHeld(until: self.consumers.stopping) }
                group.addTask { await part.unpark(until: self.consumers.stopping) }
            }
        }
    }

    /// Does a part of the work without which the worker can't go on: if it fails, the whole worker ends.
    private func attempt(_ part: () async throws -> Void) async {
        do {
            try await part()
        } catch {
            failure.withLock { first in
                if first == nil {
                    first = WarrenError(.workerFailed, "The worker can't go on and stops.", underlying: error)
                }
            }
            stop(isImpatient: false)
        }
    }

    private func end(_ work: Task<Void, Never>, _ ended: Latch) async {
        let settings = worker.settings
        if await ended.wait(for: settings.shutdownDeadline, clock: worker.clock, unless: impatience) { return }
        work.cancel()
        if await ended.wait(for: settings.cancellationGrace, clock: worker.clock) { return }
        for part in parts { part.abandonRunning() }
    }
}
