import AMQP
import Logging
import Synchronization

/// One run of a worker: its readers, slots and the way it ends.
final class WorkerSession: Sendable {
    private let worker: Worker
    private let parts: [QueueSession]
    private let consumers: Consumers
    private let gate = IsolationGate()
    private let declarer: TopologyDeclarer
    private let impatience = Latch()
    /// How long cancelled jobs have to end when the worker is told to end at once.
    private static let shortGrace: Duration = .milliseconds(500)
    private let attendance = TaskTracker()
    private let end: WorkerEnd

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
        try Self.checkTimeLimits(worker)
        let declarer = TopologyDeclarer(worker)
        let consumers = Consumers()
        let end = WorkerEnd(consumers)
        let attendance = attendance
        let gate = gate
        self.worker = worker
        self.declarer = declarer
        self.consumers = consumers
        self.end = end
        parts = worker.queues.map {
            QueueSession(
                $0,
                worker: worker,
                registry: registry,
                declarer: declarer,
                attendance: attendance,
                gate: gate,
                end: end
            )
        }
    }

    private static func checkTimeLimits(_ worker: Worker) throws(WarrenError) {
        guard let timeout = worker.settings.consumerTimeout else { return }
        for job in worker.registrations {
            guard let longest = job.timeLimits.longest, longest >= timeout else { continue }
            throw WarrenError(
                .invalidConfiguration,
                """
                The job '\(job.name.truncated(toBytes: 80))' may run for \(longest), but the broker waits only \(timeout) for a job to be \
                acknowledged and then delivers it again. Shorten its time limit, or raise the broker's consumer_timeout and say so: \
                WorkerSettings.consumerTimeout, or --consumer-timeout.
                """
            )
        }
    }

    /// True once the session was told to end.
    var isStopping: Bool { consumers.isStopping }

    var delayedDeliveries: Int { parts.map(\.delayedDeliveries).reduce(0, +) }

    var runningJobs: Int { parts.map(\.runningJobs).reduce(0, +) }

    var consumerHealth: [ConsumerHealth] { parts.flatMap { $0.health(consumers) } }

    /// Tells the session to end.
    ///
    /// Impatiently: without waiting for running jobs before they are cancelled.
    func stop(isImpatient: Bool) {
        if isImpatient { impatience.open() }
        consumers.stop()
    }

    /// Works until ``stop(isImpatient:)`` is called or a queue can't be consumed any more.
    func run() async throws {
        // Unstructured, because a handler may ignore its cancellation for ever, and structured concurrency would wait for it as long.
        // All but such handlers are awaited below, for as long as the settings allow; what is left then is handed back and abandoned.
        let work = Task { await self.work() }
        await consumers.stopping.wait()
        declarer.stop()
        await consumers.cancelAll()
        // Not before: what is turned away there goes back to the broker, which would deliver it again.
        gate.close()
        for part in parts { part.requeueWaiting() }
        await finish(work)
        for part in parts { await part.forgetSuspect() }
        await consumers.closeAll()
        if let error = end.error { throw error }
    }

    private func work() async {
        await withDiscardingTaskGroup { group in
            if worker.settings.declaresTopology {
                add(to: &group) {
                    await self.attempt { try await self.declarer.keepDeclared(until: self.consumers.stopping) }
                }
            } else {
                declarer.ladderIsReady.open()
            }
            for part in parts {
                for reader in part.readers(consumers) {
                    add(to: &group) { await self.attempt { try await reader.run() } }
                }
                for slot in part.slots {
                    group.addTask { await part.work(in: slot) }
                }
                add(to: &group) { await part.releaseHeld(until: self.consumers.stopping) }
                add(to: &group) { await part.renewConsumers(until: self.consumers.stopping) }
                add(to: &group) { await part.unpark(until: self.consumers.stopping) }
            }
        }
    }

    /// Starts a part of the work that shutdown waits for, as it does for each slot.
    private func add(to group: inout DiscardingTaskGroup, _ part: @escaping @Sendable () async -> Void) {
        attendance.enter()
        group.addTask {
            await part()
            self.attendance.leave()
        }
    }

    /// Does a part of the work without which the worker can't go on: if it fails, the whole worker ends.
    private func attempt(_ part: () async throws -> Void) async {
        do {
            try await part()
        } catch {
            end.fail(WarrenError(.workerFailed, "The worker can't go on and stops.", underlying: error))
        }
    }

    /// Waits for the work to be over, cancels what is not, and hands back what doesn't heed that.
    private func finish(_ work: Task<Void, Never>) async {
        let settings = worker.settings
        // Also where all have left: a handler that was given up at its hard time limit is still there.
        defer { work.cancel() }
        let isOver = await attendance.over.wait(
            for: settings.shutdownTimeout,
            clock: worker.clock,
            unless: impatience
        )
        if isOver { return }
        work.cancel()
        let grace = impatience.isOpen ? min(settings.cancellationGrace, Self.shortGrace) : settings.cancellationGrace
        if await attendance.over.wait(for: grace, clock: worker.clock) { return }
        for part in parts { part.abandonRunning() }
    }
}

/// The way in which a part of a worker ends the whole of it.
final class WorkerEnd: Sendable {
    private let failure = Mutex<WarrenError?>(nil)
    private let consumers: Consumers

    init(_ consumers: Consumers) { self.consumers = consumers }

    /// Why the worker ends, if not because it was told to.
    var error: WarrenError? { failure.withLock { $0 } }

    /// Begins to stop in order, for a reason that ``Worker/run()`` then throws; the first reason counts.
    func fail(_ error: WarrenError) {
        failure.withLock { if $0 == nil { $0 = error } }
        consumers.stop()
    }
}
