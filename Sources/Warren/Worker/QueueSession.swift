import AMQP
import Logging
import Synchronization

/// One queue in one run of a worker: its lanes, its slots, and what runs in them.
struct QueueSession: Sendable {
    let slots: [Slot]
    private let queue: WorkerQueue
    private let lanes: [Lane]
    private let worker: Worker
    private let registry: JobRegistry
    private let declarer: TopologyDeclarer
    private let deliveries: LaneQueue<LaneDelivery>
    private let held: DelayedDeliveries
    private let suspects: PoisonGuard
    private let breaker: QueueBreaker?
    /// One for each lane.
    private let renewals: [StaleConsumerMonitor]
    private let runner: JobRunner

    init(
        _ queue: WorkerQueue,
        worker: Worker,
        registry: JobRegistry,
        declarer: TopologyDeclarer,
        attendance: TaskTracker,
        gate: IsolationGate,
        end: WorkerEnd
    ) {
        let name = queue.name
        var logger = worker.logger
        logger[metadataKey: LogKey.queue] = "\(name)"
        self.queue = queue
        self.worker = worker
        self.registry = registry
        self.declarer = declarer
        lanes = worker.topology.configuration(of: name).lanes
        slots = (0..<queue.slots(default: worker.concurrency)).map { _ in Slot(attendance) }
        deliveries = LaneQueue(queue.lanes.scheduler(for: lanes))
        held = DelayedDeliveries(capacity: max(1, Int(queue.prefetch(default: worker.concurrency)) / 2))
        let declaresTopology = worker.settings.declaresTopology
        let settlement = Settlement(
            queue: name,
            topology: worker.topology,
            worker: worker.settings.name,
            publisher: SettlementPublisher(
                queue: name,
                transport: worker.transport,
                clock: worker.clock,
                ladderIsReady: declarer.ladderIsReady,
                restoreTopology: { () async throws(AMQPError) in
                    if declaresTopology { try await declarer.declare(name) }
                }
            ),
            counters: worker.counters,
            logger: logger,
            now: worker.now
        )
        breaker = queue.circuitBreaker.map {
            QueueBreaker($0, queue: name, clock: worker.clock, counters: worker.counters, logger: worker.logger)
        }
        renewals = lanes.map { _ in StaleConsumerMonitor() }
        suspects = PoisonGuard(name, worker: worker, logger: logger)
        runner = JobRunner(
            queue: name,
            worker: worker.settings.name,
            registry: registry,
            execution: JobExecution(middleware: worker.middleware),
            settlement: settlement,
            held: held,
            end: end,
            clock: worker.clock,
            gate: gate,
            suspects: suspects,
            breaker: breaker,
            logger: logger,
            now: worker.now
        )
    }

    /// How many of its jobs run.
    var runningJobs: Int { slots.count { $0.isBusy } }

    /// How many deliveries wait here until they are due.
    var delayedDeliveries: Int { held.waiting }

    /// How each lane's consumer is.
    func health(_ consumers: Consumers) -> [ConsumerHealth] {
        let (registered, paused) = consumers.health()
        return lanes.map { lane in
            let name = lane.queue(of: queue.name)
            return ConsumerHealth(
                queue: queue.name,
                lane: lane.name,
                isRegistered: registered.contains(name),
                isPaused: paused.contains(name)
            )
        }
    }

    /// A reader for each lane.
    func readers(_ consumers: Consumers) -> [LaneReader] {
        lanes.indices.map { index in
            LaneReader(
                queue: queue.name,
                lane: lanes[index],
                index: index,
                prefetch: queue.prefetch(default: worker.concurrency),
                transport: worker.transport,
                deliveries: deliveries,
                consumers: consumers,
                breaker: breaker,
                renewal: renewals[index],
                counters: worker.counters,
                declaresTopology: worker.settings.declaresTopology,
                declarer: declarer,
                clock: worker.clock,
                logger: worker.logger
            )
        }
    }

    /// Runs one job after another until the queue is closed.
    func work(in slot: Slot) async {
        while !slot.hasLeft, let item = await deliveries.next() {
            if let breaker, let use = item.use, !breaker.holds(use.permission) {
                // Handed back before its consumer has ended, it would be delivered there again.
                await use.ended.wait()
                item.delivery.nack(requeue: true)
                continue
            }
            item.use?.begin()
            await runner.run(item, in: slot)
            item.use?.end()
        }
        slot.leave()
    }

    /// Lets deliveries that were held until they are due go to the slots.
    func releaseHeld(until stopping: Latch) async {
        let settlement = runner.settlement
        await held.run(
            until: stopping,
            clock: worker.clock,
            release: { item in
                let index = lanes.firstIndex(of: item.lane) ?? 0
                for refused in deliveries.offer([item], lane: index) { settlement.requeue(refused.delivery) }
            },
            requeue: { settlement.requeue($0.delivery) }
        )
    }

    /// Makes consumers anew that have nothing to deliver, while the worker has nothing to do, on brokers that may keep dead ones.
    func renewConsumers(until stopping: Latch) async {
        repeat {
            // Where the broker is away, the next look will tell.
            guard let broker = try? await worker.transport.broker() else { continue }
            guard BrokerFeatures(broker.version).mayKeepDeadConsumers else { return }
            let isIdle = runningJobs == 0 && held.waiting == 0
            for renewal in renewals {
                if isIdle { await renewal.check() } else { renewal.excuse() }
            }
        } while !(await stopping.wait(for: StaleConsumerMonitor.patience, clock: worker.clock))
    }

    /// Moves parked jobs back whose names this worker knows, now and from time to time.
    func unpark(until stopping: Latch) async {
        let parking = Parking(queue: queue.name, topology: worker.topology, transport: worker.transport)
        let shortest = worker.settings.unparkingInterval
        var pause = shortest
        while !stopping.isOpen {
            do throws(AMQPError) {
                let moved = try await parking.unpark(until: stopping) { registry[$0] != nil }
                worker.counters.unparked.add(moved, ordering: .relaxed)
                pause = moved > 0 ? shortest : min(pause * 2, shortest * 10)
            } catch {
                worker.logger.warning(
                    "Parked jobs could not be looked through; they stay where they are",
                    metadata: [LogKey.queue: "\(queue.name)", LogKey.reason: "\(error)"]
                )
            }
            if await stopping.wait(for: pause, clock: worker.clock) { return }
        }
    }

    /// Hands back what waits for a slot or for its time; slots without a job end.
    func requeueWaiting() {
        for item in deliveries.close() { runner.settlement.requeue(item.delivery) }
        held.finish()
    }

    /// Takes the start of a suspected job off the record that was handed back over the head of its handler.
    func forgetSuspect() async { await suspects.ended(isSettled: false) }

    /// Hands back the jobs whose handlers don't return, over their heads.
    func abandonRunning() {
        for delivery in slots.compactMap({ $0.takeAway() }) {
            runner.logger.warning(
                "A job did not end when it was cancelled; it is handed back, and will run again",
                metadata: [LogKey.jobID: "\(delivery.jobID)"]
            )
            runner.settlement.requeue(delivery)
        }
    }
}

extension LanePolicy {
    fileprivate func scheduler<Element>(for lanes: [Lane]) -> LaneScheduler<Element> {
        switch kind {
        case .strict: LaneScheduler(strictLanes: lanes.count)
        case .weighted(let weights): LaneScheduler(weights: lanes.map { weights[$0] ?? 1 })
        }
    }
}
