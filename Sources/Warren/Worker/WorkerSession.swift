import AMQP
import Synchronization

/// One run of a worker: starts its tasks, and ends them.
final class WorkerSession: Sendable {
    /// The time that cancelled jobs have to end when the worker has to stop at once.
    private static let shortGrace: Duration = .milliseconds(500)

    private let worker: Worker
    private let queues: [QueueSession]
    private let consumers: Consumers
    private let starts: StartLog
    private let declarer: TopologyDeclarer
    private let failure: WorkerFailure
    /// Follows every task that shutdown waits for.
    private let tracker = TaskTracker()
    /// Opens when the worker has to stop without waiting for running jobs.
    private let impatience = Latch()

    /// Checks the worker's settings and creates its parts; nothing is started.
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
        self.worker = worker
        declarer = TopologyDeclarer(worker)
        consumers = Consumers()
        failure = WorkerFailure(consumers)
        starts = StartLog(worker)
        let run = RunContext(
            worker: worker,
            registry: registry,
            declarer: declarer,
            consumers: consumers,
            starts: starts,
            failure: failure
        )
        queues = worker.queues.map { [tracker] in QueueSession(QueueContext($0, in: run), tracker: tracker) }
    }

    private static func checkTimeLimits(_ worker: Worker) throws(WarrenError) {
        guard let timeout = worker.settings.consumerTimeout else { return }
        for job in worker.registrations {
            guard let longest = job.timeLimits.longest, longest >= timeout else { continue }
            throw WarrenError(
                .invalidConfiguration,
                """
                The job '\(job.name.truncated(toBytes: 80))' may run for \(longest), but the broker waits only \(timeout) for a job to be \
                acknowledged and then delivers it again. Shorten its time limit, or raise the broker's consumer_timeout and set the \
                same value here: WorkerSettings.consumerTimeout, or --consumer-timeout.
                """
            )
        }
    }

    /// True once the session has begun to stop.
    var isStopping: Bool { consumers.isStopping }

    var delayedDeliveries: Int { queues.map(\.delayedDeliveries).reduce(0, +) }

    var runningJobs: Int { queues.map(\.runningJobs).reduce(0, +) }

    var consumerHealth: [ConsumerHealth] { queues.flatMap(\.consumerHealth) }

    var unstoredOutcomes: [String] { queues.compactMap(\.unstoredOutcome) }

    /// Begins to stop.
    ///
    /// - Parameter isImpatient: Whether running jobs are cancelled at once instead of at the shutdown timeout.
    func stop(isImpatient: Bool) {
        if isImpatient { impatience.open() }
        consumers.stop()
    }

    /// Works until ``stop(isImpatient:)`` is called or a job doesn't end at its hard time limit.
    ///
    /// From then on everything has to end within ``WorkerSettings/shutdownTimeout``, also if the broker answers
    /// nothing.
    func run() async throws {
        // Unstructured, because a handler may ignore its cancellation and never return, and structured concurrency
        // would wait for it. Everything but such handlers is awaited below, within the settings' limits; what is left
        // is requeued and abandoned.
        let work = Task { await self.work() }
        await consumers.stopping.wait()
        let settings = worker.settings
        let jobsMustEnd = Latch()
        let timer = Task {
            try? await worker.clock.sleep(for: settings.timeForRunningJobs)
            jobsMustEnd.open()
        }
        declarer.stop()
        await perform(until: jobsMustEnd) { await self.consumers.cancelAll() }
        // Only now: the broker would deliver them again to a live consumer.
        for queue in queues { queue.requeueWaiting() }
        await finish(work, jobsMustEnd)
        timer.cancel()
        let mustEnd = Latch()
        let lastTimer = Task {
            try? await worker.clock.sleep(for: WorkerSettings.timeForClosing)
            mustEnd.open()
        }
        await perform(until: mustEnd) {
            for queue in self.queues { await queue.endStarts() }
            await self.consumers.closeAll()
            await self.starts.close()
        }
        lastTimer.cancel()
        if let error = failure.error { throw error }
    }

    /// Runs a step of the shutdown, and goes on without its end once the latch opens.
    private func perform(until limit: Latch, _ step: @escaping @Sendable () async -> Void) async {
        let done = Latch()
        Task {
            await step()
            done.open()
        }
        await done.wait(or: limit)
    }

    private func work() async {
        let stopping = consumers.stopping
        await withDiscardingTaskGroup { group in
            if worker.settings.declaresTopology {
                add(to: &group) { await self.declarer.keepDeclared(until: stopping) }
            } else {
                declarer.ladderIsReady.open()
            }
            for queue in queues {
                for reader in queue.readers {
                    add(to: &group) { await reader.run() }
                }
                for slot in queue.slots {
                    group.addTask { await queue.work(in: slot) }
                }
                add(to: &group) { await queue.releaseDelayed(until: stopping) }
                add(to: &group) { await queue.replaceStaleConsumers(until: stopping) }
                add(to: &group) { await queue.tendCompanions(until: stopping) }
            }
        }
    }

    /// Starts a task that shutdown waits for, as it does for each slot.
    private func add(to group: inout DiscardingTaskGroup, _ task: @escaping @Sendable () async -> Void) {
        tracker.enter()
        group.addTask {
            await task()
            self.tracker.leave()
        }
    }

    /// Waits for the work to end, cancels what has not ended when jobs must, and requeues what ignores its
    /// cancellation.
    private func finish(_ work: Task<Void, Never>, _ jobsMustEnd: Latch) async {
        let settings = worker.settings
        // Even if every task has left: a handler that was given up at its hard time limit still runs.
        defer { work.cancel() }
        let isOver = Task { await jobsMustEnd.wait(or: impatience) }
        await withTaskGroup { group in
            group.addTask { await self.tracker.done.wait() }
            group.addTask { await isOver.value }
            await group.next()
            isOver.cancel()
            group.cancelAll()
        }
        if tracker.done.isOpen { return }
        work.cancel()
        let grace = impatience.isOpen ? min(settings.cancellationGrace, Self.shortGrace) : settings.cancellationGrace
        if await tracker.done.wait(for: grace, clock: worker.clock) { return }
        for queue in queues { queue.abandonRunning() }
    }
}

/// The first failure of a part of a worker that stops the whole of it.
final class WorkerFailure: Sendable {
    private let first = Mutex<WarrenError?>(nil)
    private let consumers: Consumers

    init(_ consumers: Consumers) { self.consumers = consumers }

    /// The reason why the worker stops, if it wasn't asked to.
    var error: WarrenError? { first.withLock { $0 } }

    /// Begins to stop the worker gracefully; ``Worker/run()`` then throws the first error reported here.
    func fail(_ error: WarrenError) {
        first.withLock { if $0 == nil { $0 = error } }
        consumers.stop()
    }
}
