import AMQP
import Logging
import Metrics
import Synchronization

/// Makes outcomes durable, then acknowledges: the only code that publishes retries, dead letters and parked jobs, and
/// the only code that acknowledges a job that a worker consumed.
///
/// The order is always the same: publish, wait for the broker's confirm, then ack. A crash between the two leaves both
/// the copy and the original, so work may be repeated but is never lost. If a copy can't be published, the original is
/// requeued.
struct Settlement: Sendable {
    private let queue: QueueContext
    private let publisher: SettlementPublisher

    init(_ queue: QueueContext) {
        self.queue = queue
        publisher = SettlementPublisher(queue)
    }

    /// Settles a delivery and returns the outcome that holds: the one asked for, or `requeued` if that could not be
    /// made durable or the broker has already taken the delivery back.
    ///
    /// - Parameters:
    ///   - delivery: The delivery.
    ///   - outcome: The outcome to make durable.
    ///   - envelope: The delivery's message, decoded; `nil` if it can't be read.
    ///   - error: The error behind the outcome, for the failure record.
    func settle(_ delivery: Delivery, as outcome: Outcome, envelope: Envelope?, error: (any Error)?) async -> Outcome {
        // The broker delivers the original again whatever happens here: a copy beside it would only run the job once
        // more.
        if delivery.isLost {
            noteLate(delivery, outcome.name)
            return .requeued
        }
        var result = outcome
        switch outcome.kind {
        case .succeeded, .expired: delivery.ack()
        case .requeued: delivery.nack(requeue: true)
        case .retry(let delay): result = await retry(delivery, after: delay, envelope, error) ? outcome : .requeued
        case .dead(let reason):
            let attempt = attempt(envelope, error)
            result = await deadLetter(delivery, reason, attempt: attempt, error) ? outcome : .requeued
        case .parked: result = await park(delivery)
        }
        counters.count(result)
        return result
    }

    /// Publishes a delivery that isn't due yet to the delay ladder, which returns it with less than a second left.
    func postpone(_ delivery: Delivery, for delay: Duration) async {
        let message = delivery.message.strippingBrokerHeaders()
        if await move(delivery, message, to: destination(after: delay, delivery), as: "postponed") {
            counters.postponed.add(1, ordering: .relaxed)
        } else {
            counters.requeued.add(1, ordering: .relaxed)
        }
    }

    /// Requeues a delivery that was not started or not finished.
    func requeue(_ delivery: Delivery) {
        delivery.nack(requeue: true)
        counters.count(.requeued)
    }

    private var counters: WorkerCounters { queue.worker.counters }

    // MARK: Outcomes

    private func retry(
        _ delivery: Delivery,
        after delay: Duration,
        _ envelope: Envelope?,
        _ error: (any Error)?
    ) async -> Bool {
        guard let envelope else { preconditionFailure("A message that can't be decoded can't be retried.") }
        let cause = error ?? JobFailure("The job is to be tried again.", decision: .retry)
        let message = envelope.retried(
            after: delay,
            error: cause,
            worker: queue.worker.settings.name,
            now: queue.worker.now()
        )
        return await move(delivery, message, to: destination(after: delay.roundedUpToSeconds, delivery), as: "retry")
    }

    private func deadLetter(
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
            worker: queue.worker.settings.name,
            now: queue.worker.now()
        )
        return await move(
            delivery,
            Envelope.deadLetter(delivery.message, record: record),
            to: Destination(exchange: queue.worker.topology.deadExchange, routingKey: queue.name.rawValue),
            as: "dead letter"
        )
    }

    /// The number of the attempt that an error ended; `nil` if the error is about a message for which no handler was
    /// called.
    private func attempt(_ envelope: Envelope?, _ error: (any Error)?) -> Int? {
        error == nil || error is EnvelopeError ? nil : envelope?.attempt
    }

    /// Parks a job; if the parked queue is full, the job is dead.
    private func park(_ delivery: Delivery) async -> Outcome {
        let message = Envelope.parked(delivery.message, from: origin(of: delivery), now: queue.worker.now())
        do {
            try await publisher.publish(message, to: .queue(queue.name.parked), refusalIsFinal: true)
            delivery.ack()
            return .parked
        } catch  where error.code == .nacked {
            let error = JobFailure.permanent("No worker knows the job, and the queue '\(queue.name.parked)' is full.")
            return await deadLetter(delivery, .unknownName, attempt: nil, error) ? .dead(.unknownName) : .requeued
        } catch {
            giveUp(delivery, error, "parked job")
            return .requeued
        }
    }

    // MARK: Publish, then acknowledge

    /// Publishes the copy, then acks the original; requeues the original if the copy can't be published.
    private func move(
        _ delivery: Delivery,
        _ message: Message,
        to destination: Destination,
        as copy: String
    ) async -> Bool {
        do {
            try await publisher.publish(message, to: destination)
            if delivery.isLost { noteLate(delivery, copy) }
            delivery.ack()
            return true
        } catch {
            giveUp(delivery, error, copy)
            return false
        }
    }

    /// Counts a delivery that the broker took back before it was settled.
    private func noteLate(_ delivery: Delivery, _ copy: String) {
        counters.lateSettlements.add(1, ordering: .relaxed)
        queue.logger.info(
            "The broker took a job back before it was settled; the job will run again",
            metadata: [LogKey.jobID: "\(delivery.jobID)", LogKey.outcome: "\(copy)"]
        )
    }

    /// Requeues a delivery whose copy could not be published.
    ///
    /// After an error that won't pass by itself the delivery is rejected, which every version of RabbitMQ counts: at
    /// the delivery limit the broker dead-letters the job, so it doesn't circle endlessly.
    private func giveUp(_ delivery: Delivery, _ error: AMQPError, _ copy: String) {
        publisher.countFailure()
        queue.logger.warning(
            "A job's copy could not be published, so the job returns to its queue",
            metadata: [LogKey.outcome: "\(copy)", LogKey.error: "\(error)"]
        )
        if error.isRetriable || error.code == .cancelled || error.code == .closed {
            delivery.nack(requeue: true)
        } else {
            delivery.reject(requeue: true)
        }
    }

    // MARK: Routes

    /// The way back to the delivery's queue after a delay.
    ///
    /// Less than a second is left to the receiving worker, by the message's `eta`.
    private func destination(after delay: Duration, _ delivery: Delivery) -> Destination {
        let direct = Destination(exchange: queue.worker.topology.exchange, routingKey: delivery.queue)
        return Route.destination(after: delay, to: direct)
    }

    /// The destination for a replay: where the job was published, without its way down the delay ladder.
    private func origin(of delivery: Delivery) -> Destination {
        Route.origin(of: delivery.destination, in: queue.worker.topology)
    }
}

/// Publishes for a ``Settlement``: as `mandatory`, with confirms, and repeatedly if need be.
private struct SettlementPublisher: Sendable {
    /// The time limit of one attempt.
    private static let timeout: Duration = .seconds(15)
    /// The number of attempts before the original is requeued.
    private static let attempts = 5

    private let queue: QueueContext
    private let failures: Counter

    init(_ queue: QueueContext) {
        self.queue = queue
        failures = Counter(label: "warren_settlement_failures", dimensions: [("queue", queue.name.rawValue)])
    }

    func countFailure() { failures.increment() }

    /// Publishes and waits for the confirm; repeats after growing pauses if the error may pass.
    ///
    /// Publishing again after an unknown outcome may make a second copy; requeueing the original would make one for
    /// certain.
    ///
    /// - Parameter refusalIsFinal: Whether a `nacked`, as by a full queue, is thrown at once.
    func publish(_ message: Message, to destination: Destination, refusalIsFinal: Bool = false) async throws(AMQPError)
    {
        // A shield: shutdown cancels jobs, and must not cancel the publish that makes a job's outcome durable.
        let result = await Task { () async -> Result<Void, AMQPError> in
            do throws(AMQPError) {
                return .success(try await publishRepeatedly(message, to: destination, refusalIsFinal))
            } catch {
                return .failure(error)
            }
        }.value
        try result.get()
    }

    private func publishRepeatedly(
        _ message: Message,
        to destination: Destination,
        _ refusalIsFinal: Bool
    ) async throws(AMQPError) {
        if destination.exchange.hasPrefix(DelayLadder.namePrefix) { await queue.declarer.ladderIsReady.wait() }
        var backoff = Backoff(from: .milliseconds(100), to: .seconds(2))
        var attempt = 1
        while true {
            do {
                let deadline = ContinuousClock.now + Self.timeout
                return try await queue.worker.transport.publish(
                    message,
                    to: destination,
                    mandatory: true,
                    deadline: deadline
                )
            } catch {
                let isMissing = error.code == .notFound || error.code == .unroutable
                let isFinal = refusalIsFinal && error.code == .nacked
                guard attempt < Self.attempts, !isFinal, error.isRetriable || isMissing && attempt == 1 else {
                    throw error
                }
                if isMissing, queue.worker.settings.declaresTopology { try await queue.declarer.declare(queue.name) }
            }
            attempt += 1
            try? await queue.worker.clock.sleep(for: backoff.next())
        }
    }
}

extension DeadReason {
    /// No worker knows the job's name, and the parked queue was full.
    static let unknownName = DeadReason(rawValue: "unknown-name")
}

extension Delivery {
    /// The job's id as its message says, for logs.
    var jobID: String { message.properties.headers?[EnvelopeHeader.id]?.stringValue ?? "?" }
}

extension Message {
    /// The message without what a broker added on the way, and without AMQP's `expiration`, which would cut a delay
    /// short.
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
}

extension Duration {
    /// A delay of a second or more rounded up to whole seconds, which the ladder keeps in full; a shorter one
    /// unchanged.
    ///
    /// So a retry returns ready to run, and no slot has to wait out a remainder.
    fileprivate var roundedUpToSeconds: Duration {
        let (seconds, attoseconds) = components
        return seconds > 0 && attoseconds > 0 ? .seconds(seconds + 1) : self
    }
}
