import AMQP
import Logging
import Metrics
import Synchronization

#if canImport(FoundationEssentials)
import FoundationEssentials
#else
import Foundation
#endif

/// Makes outcomes durable, then acknowledges: the only code that publishes retries, dead letters and parked jobs, and that settles.
///
/// The order is always the same: publish, wait for the broker's confirm, then ack. A crash between the two leaves both the copy and the
/// original, so work may be repeated and is never lost. Where a copy can't be published, the original goes back to its queue.
struct Settlement: Sendable {
    let queue: QueueName
    let topology: Topology
    let worker: String
    let publisher: SettlementPublisher
    let counters: WorkerCounters
    let logger: Logger
    let now: @Sendable () -> Date

    /// Settles a delivery, and returns what became of it: the outcome asked for, or `requeued` if that could not be made durable or
    /// the broker has already taken the delivery back.
    ///
    /// - Parameter envelope: The delivery's message, decoded; `nil` if it can't be.
    /// - Parameter error: What the outcome is about, for the failure record.
    func settle(_ delivery: Delivery, as outcome: Outcome, envelope: Envelope?, error: (any Error)?) async -> Outcome {
        // The original comes again whatever is done here: a copy beside it would only make the job run once more.
        if delivery.isLost {
            noteLate(delivery, outcome.name)
            return .requeued
        }
        var result = outcome
        switch outcome {
        case .succeeded, .expired: delivery.ack()
        case .requeued: delivery.nack(requeue: true)
        case .retry(let delay): result = await retry(delivery, after: delay, envelope, error) ? outcome : .requeued
        case .dead(let reason):
            result = await bury(delivery, reason, attempt: attempt(envelope, error), error) ? outcome : .requeued
        case .parked: result = await park(delivery)
        }
        counters.count(result)
        return result
    }

    /// Sends a delivery that isn't due yet down the delay ladder, from which it returns with whatever is left below a second.
    func postpone(_ delivery: Delivery, for delay: Duration) async {
        let message = delivery.message.strippingBrokerHeaders()
        if await move(delivery, message, to: route(after: delay, to: delivery.queue), as: "postponed") {
            counters.postponed.add(1, ordering: .relaxed)
        } else {
            counters.requeued.add(1, ordering: .relaxed)
        }
    }

    /// Hands a delivery back that was not started or not finished.
    func requeue(_ delivery: Delivery) {
        delivery.nack(requeue: true)
        counters.count(.requeued)
    }

    private func retry(
        _ delivery: Delivery,
        after delay: Duration,
        _ envelope: Envelope?,
        _ error: (any Error)?
    ) async -> Bool {
        guard let envelope else { preconditionFailure("What can't be decoded can't be retried.") }
        let cause = error ?? JobFailure("The job is to be tried again.", decision: .retry)
        let message = envelope.retried(after: delay, error: cause, worker: worker, now: now())
        return await move(
            delivery,
            message,
            to: route(after: delay.roundedUpToSeconds, to: delivery.queue),
            as: "retry"
        )
    }

    private func bury(
        _ delivery: Delivery,
        _ reason: DeadReason,
        attempt: Int?,
        _ error: (any Error)?
    ) async -> Bool {
        let record = FailureRecord(
            reason: reason,
            error: error,
            message: delivery.message,
            attempt: attempt,
            origin: origin(of: delivery),
            worker: worker,
            now: now()
        )
        let destination = Destination(exchange: topology.deadExchange, routingKey: queue.rawValue)
        return await move(
            delivery,
            Envelope.deadLetter(delivery.message, record: record),
            to: destination,
            as: "dead letter"
        )
    }

    /// Which attempt an error ended; `nil` if it is about a message for which no handler was called.
    private func attempt(_ envelope: Envelope?, _ error: (any Error)?) -> Int? {
        error == nil || error is EnvelopeError ? nil : envelope?.attempt
    }

    /// Parks a job; if the parked queue is full, the job is dead.
    private func park(_ delivery: Delivery) async -> Outcome {
        let message = Envelope.parked(delivery.message, from: origin(of: delivery), now: now())
        do {
            try await publisher.publish(message, to: .queue(queue.parked), refusalIsFinal: true)
            delivery.ack()
            return .parked
        } catch  where error.code == .nacked {
            let error = JobFailure.permanent("No worker knows the job, and the queue '\(queue.parked)' is full.")
            return await bury(delivery, .unknownName, attempt: nil, error) ? .dead(.unknownName) : .requeued
        } catch {
            giveUp(delivery, error, "parked job")
            return .requeued
        }
    }

    /// Publishes the copy, then acks the original; hands the original back if the copy can't be published.
    private func move(
        _ delivery: Delivery,
        _ message: Message,
        to destination: Destination,
        as what: String
    ) async -> Bool {
        do {
            try await publisher.publish(message, to: destination)
            if delivery.isLost { noteLate(delivery, what) }
            delivery.ack()
            return true
        } catch {
            giveUp(delivery, error, what)
            return false
        }
    }

    /// Counts a delivery that the broker took back before it was settled.
    private func noteLate(_ delivery: Delivery, _ what: String) {
        counters.lateSettlements.add(1, ordering: .relaxed)
        logger.info(
            "The broker took a job back before it could be settled; it will run again",
            metadata: [LogKey.jobID: "\(delivery.jobID)", LogKey.outcome: "\(what)"]
        )
    }

    /// Returns a delivery whose copy could not be published.
    ///
    /// An error that will not pass by itself is returned by `reject`, which every version of RabbitMQ counts: so at the
    /// delivery limit the broker dead-letters the job, and it doesn't circle for ever.
    private func giveUp(_ delivery: Delivery, _ error: AMQPError, _ what: String) {
        publisher.countFailure()
        logger.warning(
            "A job's copy could not be published, so the job goes back to its queue",
            metadata: [LogKey.queue: "\(queue)", LogKey.outcome: "\(what)", LogKey.error: "\(error)"]
        )
        if error.isRetriable || error.code == .cancelled {
            delivery.nack(requeue: true)
        } else {
            delivery.reject(requeue: true)
        }
    }

    /// The ladder for a second and more; less than that the receiving worker waits out, by the message's `eta`.
    private func route(after delay: Duration, to key: String) -> Destination {
        DelayLadder.route(delay, to: key) ?? Destination(exchange: topology.exchange, routingKey: key)
    }

    /// Where a replay should publish the job: where it came from, without a way down the ladder.
    private func origin(of delivery: Delivery) -> Destination {
        DelayLadder.destination(fromRoutingKey: delivery.destination.routingKey)
            .map { Destination(exchange: topology.exchange, routingKey: $0) } ?? delivery.destination
    }
}

extension DeadReason {
    /// No worker knows the job's name, and there was no room to park it.
    static let unknownName = DeadReason(rawValue: "unknown-name")
}

extension Duration {
    /// A delay of a second or more rounded up to whole seconds, which the ladder keeps to the full; a shorter one as it is.
    ///
    /// So a retry comes back ready to run, and no slot has to wait out a rest of it.
    fileprivate var roundedUpToSeconds: Duration {
        let (seconds, attoseconds) = components
        return seconds > 0 && attoseconds > 0 ? .seconds(seconds + 1) : self
    }
}

/// Publishes on behalf of a ``Settlement``: confirmed, as `mandatory`, and with patience.
struct SettlementPublisher: Sendable {
    /// How long one attempt may take.
    private static let attemptTimeout: Duration = .seconds(15)
    /// How often a publish is tried before the original goes back to its queue.
    private static let attempts = 5

    let transport: any Transport
    let clock: any Clock<Duration>
    /// Opens when the ladder was declared, or at once in a worker that declares nothing.
    let ladderIsReady: Latch
    /// Declares the queue anew, where something of it is missing.
    let restoreTopology: @Sendable () async throws(AMQPError) -> Void
    private let failures: Counter

    init(
        queue: QueueName,
        transport: any Transport,
        clock: any Clock<Duration>,
        ladderIsReady: Latch,
        restoreTopology: @escaping @Sendable () async throws(AMQPError) -> Void
    ) {
        self.transport = transport
        self.clock = clock
        self.ladderIsReady = ladderIsReady
        self.restoreTopology = restoreTopology
        failures = Counter(label: "warren_settlement_failures", dimensions: [("queue", queue.rawValue)])
    }

    func countFailure() { failures.increment() }

    /// Publishes and waits for the confirm; tries again what may pass, after growing pauses.
    ///
    /// Trying again after an unknown outcome can make a second copy; handing the original back would make one for certain.
    ///
    /// - Parameter refusalIsFinal: Whether a `nacked`, as of a full queue, is to be reported at once.
    func publish(_ message: Message, to destination: Destination, refusalIsFinal: Bool = false) async throws(AMQPError)
    {
        // A shield: shutdown cancels jobs, and must not cancel the publish that makes a job's outcome durable.
        let result = await Task { () async -> Result<Void, AMQPError> in
            do throws(AMQPError) {
                return .success(try await publishPatiently(message, to: destination, refusalIsFinal))
            } catch {
                return .failure(error)
            }
        }.value
        try result.get()
    }

    private func publishPatiently(
        _ message: Message,
        to destination: Destination,
        _ refusalIsFinal: Bool
    ) async throws(AMQPError) {
        if destination.exchange.hasPrefix(DelayLadder.namePrefix) { await ladderIsReady.wait() }
        var backoff = Backoff(from: .milliseconds(100), to: .seconds(2))
        var attempt = 1
        while true {
            do {
                let deadline = ContinuousClock.now + Self.attemptTimeout
                return try await transport.publish(message, to: destination, mandatory: true, deadline: deadline)
            } catch {
                let isMissing = error.code == .notFound || error.code == .unroutable
                let isFinal = refusalIsFinal && error.code == .nacked
                guard attempt < Self.attempts, !isFinal, error.isRetriable || isMissing && attempt == 1 else {
                    throw error
                }
                if isMissing { try await restoreTopology() }
            }
            attempt += 1
            try? await clock.sleep(for: backoff.next())
        }
    }
}

extension Message {
    /// The message as it came, to be published again: without what a broker added on the way, and without AMQP's `expiration`, which
    /// would cut a delay short.
    func strippingBrokerHeaders() -> Message {
        var message = self
        message.properties.expiration = nil
        message.properties.userID = nil
        if var headers = properties.headers {
            BrokerHeaders.remove(from: &headers)
            message.properties.headers = headers
        }
        return message
    }

    /// A parked message as it was before it was parked.
    func unparked() -> Message {
        var message = strippingBrokerHeaders()
        for name in [EnvelopeHeader.originalExchange, EnvelopeHeader.originalRoutingKey, EnvelopeHeader.parkedAt] {
            message.properties.headers?[name] = nil
        }
        return message
    }
}

extension Delivery {
    /// The job's id as its message says, for logs.
    var jobID: String { message.properties.headers?[EnvelopeHeader.id]?.stringValue ?? "?" }
}
