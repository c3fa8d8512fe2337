import AMQP
import Logging
import Synchronization

#if canImport(FoundationEssentials)
import FoundationEssentials
#else
import Foundation
#endif

/// Takes one delivery of a queue from message to settlement.
///
/// This is the whole way of a job through a worker, step by step in ``run(_:in:)``:
///
/// ```
/// decode → check due → admit → attempt → decide → settle → report
/// ```
///
/// Each step either hands the job on or has finished with its delivery. The types behind the steps are small:
/// ``PoisonGuard`` admits, ``Attempt`` runs the handler, ``Outcome`` decides, ``Settlement`` makes
/// the outcome durable and acknowledges.
struct JobRunner: Sendable {
    /// A delivery on its way, with everything that the steps need to know about it.
    private struct Run: Sendable {
        let item: LaneDelivery
        /// The item's delivery; if it came from quarantine, as it was before.
        let delivery: Delivery
        let slot: Slot
        let envelope: Envelope
        /// `nil` if no handler of this worker has the job's name.
        let registration: JobRegistration?
        let context: JobContext
    }

    /// Leave to run a job, which ``leave(_:settled:)`` gives up.
    private enum Admission: Sendable {
        /// The job runs.
        case ordinary
        /// The job may be poison: its start is on record.
        case recorded(JobStart)
        /// The job has taken down too many workers and must not start again.
        case dead(CrashHistory)
    }

    let queue: QueueContext
    let settlement: Settlement
    let poison: PoisonGuard

    init(_ queue: QueueContext) {
        self.queue = queue
        settlement = Settlement(queue)
        poison = PoisonGuard(queue)
    }

    /// Runs a delivery's job in a slot.
    ///
    /// On return the delivery is settled, waits in ``QueueContext/delayed`` until it is due, or was revoked by
    /// shutdown.
    func run(_ item: LaneDelivery, in slot: Slot) async {
        guard let run = await decode(item, slot),
            await checkDue(run),
            let admission = await admit(run)
        else { return }
        var settled: Outcome?
        if let result = await attempt(run, admission) {
            let outcome = await settle(run, as: decide(run, result), result)
            await report(run, outcome, result)
            settled = outcome
        }
        await leave(admission, settled: settled)
    }

    // MARK: Decode

    /// Reads the message as a job; a message that can't be read becomes a dead letter.
    private func decode(_ item: LaneDelivery, _ slot: Slot) async -> Run? {
        let delivery = item.lane == .quarantine ? item.delivery.beforeQuarantine(of: queue) : item.delivery
        if isLost(delivery) { return nil }
        if delivery.isRedelivered { queue.worker.counters.redelivered.add(1, ordering: .relaxed) }
        let envelope: Envelope
        do {
            envelope = try Envelope(decoding: delivery.message)
        } catch {
            queue.logger.warning("A message can't be read as a job", metadata: [LogKey.reason: "\(error)"])
            _ = await settlement.settle(delivery, as: .dead(.undecodable(error)), envelope: nil, error: error)
            return nil
        }
        let registration = queue.registry[envelope.name]
        return Run(
            item: item,
            delivery: delivery,
            slot: slot,
            envelope: envelope,
            registration: registration,
            context: JobContext(
                envelope: envelope,
                queue: queue.name,
                lane: queue.lanes.first { $0.queue(of: queue.name) == delivery.queue } ?? .normal,
                worker: queue.worker.settings.name,
                isRedelivered: delivery.isRedelivered,
                maximumAttempts: (registration?.retry ?? .none).attempts,
                logger: queue.logger
            )
        )
    }

    /// Drops a delivery that the broker has requeued: it will be delivered again, so starting it now would only run it
    /// twice.
    private func isLost(_ delivery: Delivery) -> Bool {
        guard delivery.isLost else { return false }
        queue.worker.counters.lost.add(1, ordering: .relaxed)
        return true
    }

    // MARK: Check due

    /// Returns true if the job is due.
    ///
    /// A job due within a second waits in this worker, a later one at the broker.
    private func checkDue(_ run: Run) async -> Bool {
        guard let eta = run.envelope.eta else { return true }
        let left = eta.timeIntervalSince(queue.worker.now())
        if left <= 0 { return true }
        if left >= 1 {
            await settlement.postpone(run.delivery, for: .seconds(min(left, 1e9)))
        } else if !queue.delayed.delay(run.item, for: .seconds(left)) {
            await settlement.postpone(run.delivery, for: .seconds(1))
        }
        return false
    }

    // MARK: Admit

    /// Decides whether the job may start; one that may be poison is judged first.
    ///
    /// Returns `nil` if it was quarantined, the worker is stopping, or the broker has taken the delivery back.
    private func admit(_ run: Run) async -> Admission? {
        let isQuarantined = run.item.lane == .quarantine
        guard isQuarantined || run.delivery.mayBePoison, run.registration != nil else { return .ordinary }
        switch await poison.judge(run.delivery, jobID: run.envelope.id, isQuarantined: isQuarantined) {
        case .start(nil): return .ordinary
        case .start(let start?): return .recorded(start)
        case .dead(let history): return .dead(history)
        case .quarantine: await settlement.quarantine(run.delivery, run.envelope)
        case .giveBack: settlement.requeue(run.delivery)
        }
        return nil
    }

    private func leave(_ admission: Admission, settled outcome: Outcome?) async {
        guard case .recorded(let start) = admission else { return }
        await poison.end(start, isSettled: outcome.map { $0 != .requeued } ?? false)
    }

    // MARK: Attempt

    /// Runs the handler, unless the job has expired, has crashed too many workers or has no handler here.
    ///
    /// Returns `nil` if the delivery was revoked while the handler ran: then somebody else has settled it.
    private func attempt(_ run: Run, _ admission: Admission) async -> AttemptResult? {
        if run.envelope.expires != nil, run.envelope.isExpired(at: queue.worker.now()) { return .expired }
        if case .dead(let history) = admission { return .crashedTooOften(history) }
        guard let registration = run.registration else { return .unknownName }
        run.slot.begin(run.delivery)
        let watch: Task<Void, Never>? =
            if case .recorded(let start) = admission {
                Task { await poison.endWhenLost(start, run.delivery) }
            } else {
                nil
            }
        defer { watch?.cancel() }
        let attempt = Attempt(registration, run.context, middleware: queue.worker.middleware)
        let limits = registration.timeLimits.replaced(by: run.envelope.timeLimits)
        let result =
            if limits.isNone {
                await attempt.run()
            } else {
                await attempt.run(within: limits, clock: queue.worker.clock) { await giveUp(run, $0) }
            }
        return run.slot.finish() ? result : nil
    }

    /// Settles a job that ran past its hard time limit although its handler hasn't returned, and stops the worker.
    private func giveUp(_ run: Run, _ error: JobTimeLimitExceeded) async {
        guard run.slot.revoke() != nil else { return }
        let job = "'\(run.context.name.truncated(toBytes: 80))' (\(run.context.id.truncated(toBytes: 80)))"
        queue.failure.fail(
            WarrenError(
                .hardTimeLimit,
                """
                The job \(job) of the queue '\(queue.name)' ran past its hard time limit of \(error.limit). Its handler may never \
                return, so the worker stops: end this process and start a new one.
                """
            )
        )
        let result = AttemptResult.threw(error)
        let outcome = await settle(run, as: decide(run, result), result)
        // Not to the circuit breaker: the worker stops consuming anyway.
        await report(run, outcome, nil)
        run.slot.close()
    }

    // MARK: Decide

    private func decide(_ run: Run, _ result: AttemptResult) -> Outcome {
        var random = SystemRandomNumberGenerator()
        return Outcome.decide(
            result,
            envelope: run.envelope,
            policy: run.registration?.retry ?? .none,
            expiryPolicy: run.registration?.expiryPolicy ?? .keep,
            now: queue.worker.now(),
            using: &random
        )
    }

    // MARK: Settle

    /// Makes the outcome durable and acknowledges.
    ///
    /// Returns the outcome that holds: `requeued` if the one asked for could not be made durable.
    private func settle(_ run: Run, as outcome: Outcome, _ result: AttemptResult) async -> Outcome {
        await settlement.settle(run.delivery, as: outcome, envelope: run.envelope, error: result.error)
    }

    // MARK: Report

    /// Reports the outcome to the middleware, and the result to the queue's circuit breaker.
    private func report(_ run: Run, _ outcome: Outcome, _ result: AttemptResult?) async {
        for layer in queue.worker.middleware { layer.settled(run.context, outcome: outcome) }
        if let result, let breaker = queue.breaker, let permit = run.item.lease.permit {
            await breaker.record(result, permit)
        }
    }
}

extension Delivery {
    /// A delivery from quarantine as it was before it went there.
    fileprivate func beforeQuarantine(of context: QueueContext) -> Delivery {
        var delivery = self
        let headers = message.properties.headers
        let lanes = context.lanes.map { $0.queue(of: context.name) }
        let from = headers?[EnvelopeHeader.quarantinedFrom]?.stringValue
        delivery.queue = lanes.first { $0 == from } ?? context.name.rawValue
        delivery.destination = Destination(
            exchange: headers?[EnvelopeHeader.originalExchange]?.stringValue ?? context.worker.topology.exchange,
            routingKey: headers?[EnvelopeHeader.originalRoutingKey]?.stringValue ?? delivery.queue
        )
        delivery.message.properties.headers?.removeAll { name, _ in
            name == EnvelopeHeader.quarantinedFrom || name == EnvelopeHeader.originalExchange
                || name == EnvelopeHeader.originalRoutingKey
        }
        return delivery
    }
}
