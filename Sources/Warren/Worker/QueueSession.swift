import AMQP
import Logging
import Synchronization

/// One queue in one run of a worker: the tasks that read its lanes and run its jobs.
struct QueueSession: Sendable {
    let slots: [Slot]
    private let queue: QueueContext
    private let runner: JobRunner
    /// One for each lane.
    private let monitors: [StaleConsumerMonitor]

    init(_ queue: QueueContext, tracker: TaskTracker) {
        self.queue = queue
        slots = (0..<queue.concurrency).map { _ in Slot(tracker) }
        runner = JobRunner(queue)
        monitors = queue.lanes.map { _ in StaleConsumerMonitor() }
    }

    /// The number of its jobs that run.
    var runningJobs: Int { slots.count { $0.isBusy } }

    /// The number of deliveries that wait in the worker until they are due.
    var delayedDeliveries: Int { queue.delayed.waiting }

    /// The health of each lane's consumer.
    var consumerHealth: [ConsumerHealth] {
        let (registered, paused, problems) = queue.consumers.health()
        return queue.lanes.compactMap { lane in
            if lane == .quarantine, !queue.quarantineExists.isOpen { return nil }
            let name = lane.queue(of: queue.name)
            return ConsumerHealth(
                queue: queue.name,
                lane: lane.name,
                isRegistered: registered.contains(name),
                isPaused: paused.contains(name),
                problem: problems[name]
            )
        }
    }

    /// The reason why an outcome of a job can't be stored; `nil` if all can.
    var unstoredOutcome: String? {
        queue.unstored.reason.map { "An outcome of a job of the queue '\(queue.name)' can't be stored: \($0)" }
    }

    /// A reader for each lane.
    var readers: [LaneReader] {
        queue.lanes.indices.map { LaneReader(queue, lane: $0, monitor: monitors[$0]) }
    }

    /// Runs one job after another in a slot, until the queue is closed.
    func work(in slot: Slot) async {
        while !slot.isClosed, let item = await queue.deliveries.next() {
            if let breaker = queue.breaker, let permit = item.lease.permit, !breaker.isValid(permit) {
                // Requeued before its consumer has ended, it would be delivered there again.
                await item.lease.ended.wait()
                item.delivery.nack(requeue: true)
                continue
            }
            item.lease.jobBegan()
            slot.take()
            if !queue.unstored.isEmpty { await queue.unstored.wait(or: queue.closed) }
            if queue.closed.isOpen {
                runner.settlement.requeue(item.delivery)
            } else {
                await runner.run(item, in: slot)
            }
            slot.release()
            item.lease.jobEnded()
        }
        slot.close()
    }

    /// Passes deliveries that have become due to the slots.
    func releaseDelayed(until stopping: Latch) async {
        let settlement = runner.settlement
        await queue.delayed.run(
            until: stopping,
            clock: queue.worker.clock,
            release: { item in
                let index = queue.lanes.firstIndex(of: item.lane) ?? 0
                for refused in queue.deliveries.offer([item], lane: index) { settlement.requeue(refused.delivery) }
            },
            requeue: { settlement.requeue($0.delivery) }
        )
    }

    /// Checks the consumers of an idle worker, on brokers that may keep dead ones: one without deliveries is replaced.
    func replaceStaleConsumers(until stopping: Latch) async {
        repeat {
            // While the broker is away there is nothing to check.
            guard let broker = try? await queue.worker.transport.broker() else { continue }
            guard BrokerFeatures(broker.version).mayKeepDeadConsumers else { return }
            let isIdle = slots.allSatisfy(\.isFree) && queue.delayed.waiting == 0
            for monitor in monitors {
                if isIdle { await monitor.check() } else { monitor.reset() }
            }
        } while !(await stopping.wait(for: StaleConsumerMonitor.interval, clock: queue.worker.clock))
    }

    /// Looks at the queue's companions, now and periodically: returns parked jobs whose names this worker knows to
    /// their queue, and consumes the quarantine once another worker has made it.
    func tendCompanions(until stopping: Latch) async {
        let worker = queue.worker
        let parking = Parking(queue: queue.name, topology: worker.topology, transport: worker.transport)
        let shortest = worker.settings.unparkingInterval
        var pause = shortest
        while !stopping.isOpen {
            do throws(AMQPError) {
                let moved = try await parking.unpark(until: stopping) { queue.registry[$0] != nil }
                worker.counters.unparked.add(moved, ordering: .relaxed)
                pause = moved > 0 ? shortest : min(pause * 2, shortest * 10)
            } catch {
                queue.logger.warning(
                    "Parked jobs could not be examined; they stay parked",
                    metadata: [LogKey.reason: "\(error)"]
                )
            }
            await lookForQuarantine()
            if await stopping.wait(for: pause, clock: worker.clock) { return }
        }
    }

    private func lookForQuarantine() async {
        guard !queue.quarantineExists.isOpen else { return }
        do throws(AMQPError) {
            _ = try await queue.worker.transport.status(ofQueue: queue.name.quarantine)
            queue.quarantineExists.open()
        } catch {
            guard error.code != .notFound else { return }
            queue.logger.warning("The quarantine could not be looked for", metadata: [LogKey.reason: "\(error)"])
        }
    }

    /// Requeues deliveries that wait for a slot or until they are due; slots without a job end.
    func requeueWaiting() {
        queue.closed.open()
        for item in queue.deliveries.close() { runner.settlement.requeue(item.delivery) }
        queue.delayed.finish()
    }

    /// Records the end of the starts of jobs that were requeued while their handlers still ran.
    func endStarts() async { await runner.poison.endAllStarts() }

    /// Requeues the jobs whose handlers don't return.
    func abandonRunning() {
        for delivery in slots.compactMap({ $0.revoke() }) {
            queue.logger.warning(
                "A job did not end when it was cancelled; it is requeued and will run again",
                metadata: [LogKey.jobID: "\(delivery.jobID)"]
            )
            runner.settlement.requeue(delivery)
        }
    }
}

/// A place for one running job of a queue.
///
/// It knows the delivery whose handler is running, so that shutdown or a hard time limit can settle it even if the
/// handler never returns.
final class Slot: Sendable {
    private struct State: Sendable {
        /// True from the time a delivery is taken until it is settled.
        var isTaken = false
        var current: Delivery?
        var isClosed = false
    }

    private let state = Mutex(State())
    private let tracker: TaskTracker

    /// A slot that its worker waits for, until ``close()``.
    init(_ tracker: TaskTracker) {
        self.tracker = tracker
        tracker.enter()
    }

    /// True while a handler runs whose delivery is this slot's to settle.
    var isBusy: Bool { state.withLock { $0.current != nil } }

    /// True while no delivery is in it, also none that is being settled.
    var isFree: Bool { state.withLock { !$0.isTaken } }

    func take() { state.withLock { $0.isTaken = true } }

    func release() { state.withLock { $0.isTaken = false } }

    /// True if no job may start here any more.
    var isClosed: Bool { state.withLock { $0.isClosed } }

    func begin(_ delivery: Delivery) {
        state.withLock { $0.current = delivery }
    }

    /// Notes that the handler has returned and its delivery is about to be settled.
    ///
    /// Returns false if the delivery was revoked before.
    func finish() -> Bool {
        state.withLock { $0.current.take() } != nil
    }

    /// Takes the delivery away from its handler.
    ///
    /// Returns `nil` if no handler runs, or if it has returned and its delivery is being settled.
    func revoke() -> Delivery? {
        state.withLock { $0.current.take() }
    }

    /// Lets the worker stop waiting for this slot: it is done, or its handler doesn't return.
    func close() {
        let isFirst = state.withLock { state in
            defer { state.isClosed = true }
            return !state.isClosed
        }
        if isFirst { tracker.leave() }
    }
}
