import AMQP
import Logging
import Synchronization

#if canImport(FoundationEssentials)
import FoundationEssentials
#else
import Foundation
#endif

/// Takes one delivery of a queue from the message to its settled outcome: decode, is it due, is it expired, who handles it, run, decide,
/// settle.
struct JobRunner: Sendable {
    /// What to do with a delivery that isn't due.
    enum Readiness {
        case ready
        /// Due within a second: wait for it here.
        case dueSoon(Duration)
        /// Due later: the broker should keep it.
        case dueLater(Duration)
    }

    let queue: QueueName
    let worker: String
    let registry: JobRegistry
    let execution: JobExecution
    let settlement: Settlement
    let held: DelayedDeliveries
    let end: WorkerEnd
    let clock: any Clock<Duration>
    let gate: IsolationGate
    let suspects: PoisonGuard
    let breaker: QueueBreaker?
    let logger: Logger
    let now: @Sendable () -> Date

    /// Deals with a delivery.
    ///
    /// When this returns, it is settled, or held until it is due, or was taken away by shutdown.
    func run(_ item: LaneDelivery, in slot: Slot) async {
        let delivery = item.delivery
        if isLost(delivery) { return }
        if delivery.isRedelivered { settlement.counters.redelivered.add(1, ordering: .relaxed) }
        let envelope: Envelope
        do {
            envelope = try Envelope(decoding: delivery.message)
        } catch {
            return await bury(delivery, undecodable: error)
        }
        switch readiness(of: envelope) {
        case .ready: await takeTurn(item, envelope, in: slot)
        case .dueLater(let delay): await settlement.postpone(delivery, for: delay)
        case .dueSoon(let delay):
            if !held.hold(item, for: delay) { await settlement.postpone(delivery, for: .seconds(1)) }
        }
    }

    private func readiness(of envelope: Envelope) -> Readiness {
        guard let eta = envelope.eta else { return .ready }
        let left = eta.timeIntervalSince(now())
        if left <= 0 { return .ready }
        return left < 1 ? .dueSoon(.seconds(left)) : .dueLater(.seconds(min(left, 1e9)))
    }

    /// Drops a delivery that the broker has taken back: begun, it would only be done twice.
    private func isLost(_ delivery: Delivery) -> Bool {
        guard delivery.isLost else { return false }
        settlement.counters.lost.add(1, ordering: .relaxed)
        return true
    }

    /// Attempts a job beside others; a suspected one alone, if it may be started at all.
    private func takeTurn(_ item: LaneDelivery, _ envelope: Envelope, in slot: Slot) async {
        if item.delivery.mayBePoison, registry[envelope.name] != nil {
            guard await gate.enterExclusively() else { return settlement.requeue(item.delivery) }
            defer { gate.leaveExclusively() }
            if !isLost(item.delivery) { await attemptAlone(item, envelope, in: slot) }
        } else {
            guard await gate.enter() else { return settlement.requeue(item.delivery) }
            defer { gate.leave() }
            if !isLost(item.delivery) { await attempt(item, envelope, in: slot) }
        }
    }

    private func attemptAlone(_ item: LaneDelivery, _ envelope: Envelope, in slot: Slot) async {
        var outcome: Outcome?
        switch await suspects.begin(envelope.id, unless: gate) {
        case .start: outcome = await attempt(item, envelope, in: slot)
        case .quarantine(let loop): outcome = await attempt(item, envelope, in: slot, unless: loop)
        case .requeue: settlement.requeue(item.delivery)
        }
        await suspects.ended(isSettled: outcome.map { $0 != .requeued } ?? false)
    }

    /// Attempts a job, unless it is in a crash loop, and settles it.
    ///
    /// Returns what became of it; `nil` if it was taken away by shutdown.
    @discardableResult
    private func attempt(
        _ item: LaneDelivery,
        _ envelope: Envelope,
        in slot: Slot,
        unless loop: CrashHistory? = nil
    ) async -> Outcome? {
        let registration = registry[envelope.name]
        let policy = registration?.retry ?? .none
        let context = JobContext(
            envelope: envelope,
            queue: queue,
            lane: item.lane,
            worker: worker,
            isRedelivered: item.delivery.isRedelivered,
            maximumAttempts: policy.attempts,
            logger: logger
        )
        let ending: AttemptResult
        if envelope.expires != nil, envelope.isExpired(at: now()) {
            ending = .expired
        } else if let loop {
            ending = .deliveredTooOften(loop)
        } else if let registration {
            slot.begin(item.delivery)
            let limits = registration.timeLimits.replaced(by: envelope.timeLimits)
            if limits.isNone {
                ending = await execution.run(registration, context)
            } else {
                ending = await LimitedAttempt(limits: limits, clock: clock).run {
                    await execution.run(registration, context)
                } giveUp: {
                    await giveUp(slot, registration, context, $0)
                }
            }
            guard slot.finish() else { return nil }
        } else {
            ending = .unknownName
        }
        let outcome = await settle(item.delivery, ending, registration, context)
        if let breaker, let use = item.use { await breaker.judge(ending, use.permission) }
        return outcome
    }

    @discardableResult
    private func settle(
        _ delivery: Delivery,
        _ ending: AttemptResult,
        _ registration: JobRegistration?,
        _ context: JobContext
    ) async -> Outcome {
        var random = SystemRandomNumberGenerator()
        let outcome = Outcome.decide(
            ending,
            envelope: context.envelope,
            policy: registration?.retry ?? .none,
            expiryPolicy: registration?.expiryPolicy ?? .keep,
            now: now(),
            using: &random
        )
        let settled = await settlement.settle(delivery, as: outcome, envelope: context.envelope, error: ending.error)
        for layer in execution.middleware { layer.settled(context, outcome: settled) }
        return settled
    }

    /// Settles a job over the head of its handler, which doesn't return, and ends the worker.
    private func giveUp(
        _ slot: Slot,
        _ registration: JobRegistration,
        _ context: JobContext,
        _ error: JobTimeLimitExceeded
    ) async {
        guard let delivery = slot.takeAway() else { return }
        end.fail(
            WarrenError(
                .hardTimeLimit,
                """
                The job '\(context.name.truncated(toBytes: 80))' (\(context.id.truncated(toBytes: 80))) of the queue '\(queue)' ran past its hard time \
                limit of \(error.limit). Its handler may not return, so the worker ends; end the process, and start a new one.
                """
            )
        )
        await settle(delivery, .threw(error), registration, context)
        slot.leave()
    }

    private func bury(_ delivery: Delivery, undecodable error: EnvelopeError) async {
        logger.warning(
            "A message can't be read as a job",
            metadata: [LogKey.queue: "\(queue)", LogKey.reason: "\(error)"]
        )
        _ = await settlement.settle(delivery, as: .dead(.undecodable(error)), envelope: nil, error: error)
    }
}
