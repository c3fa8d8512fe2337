import AMQP
import Logging
import Metrics
import Synchronization

/// Makes outcomes durable, then acknowledges: the only code that publishes retries, dead letters, parked and
/// quarantined jobs, and the only code that acknowledges a job that a worker consumed.
///
/// The order is always the same: publish, wait for the broker's confirm, then ack. A crash between the two leaves both
/// the copy and the original, so work may be repeated but is never lost.
///
/// A handler doesn't run again because its outcome could not be stored: the outcome keeps its slot, and no other job of
/// the queue starts here, until it is stored, the broker takes the delivery back, or the worker stops. Only a dead
/// letter that can never be stored goes the broker's own way to the dead queue, without its record.
struct Settlement: Sendable {
    private let queue: QueueContext
    private let store: OutcomeStore

    init(_ queue: QueueContext) {
        self.queue = queue
        store = OutcomeStore(queue)
    }

    /// Settles a delivery and returns the outcome that holds: `requeued` instead of the one asked for if the worker
    /// stopped before it was stored, or if the broker has taken the delivery back.
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
        let result: Outcome
        switch outcome.kind {
        case .succeeded, .expired:
            delivery.ack()
            result = outcome
        case .requeued:
            delivery.nack(requeue: true)
            result = outcome
        case .retry(let delay): result = await retry(delivery, as: outcome, after: delay, envelope, error)
        case .dead(let reason):
            result = await deadLetter(delivery, reason, attempt: attempt(envelope, error), error)
        case .parked: result = await park(delivery)
        }
        counters.count(result)
        log(result, envelope, delivery, error)
        return result
    }

    /// Publishes a delivery that isn't due yet to the delay ladder, which returns it with less than a second left.
    func postpone(_ delivery: Delivery, for delay: Duration) async {
        let message = delivery.message.strippingBrokerHeaders()
        switch await store.store(message, at: destination(after: delay, delivery), for: delivery) {
        case .stored:
            delivery.ack()
            counters.postponed.add(1, ordering: .relaxed)
        case .refused, .lost, .stopped: requeue(delivery)
        }
    }

    /// Moves a delivery to the queue's quarantine, which exists.
    func quarantine(_ delivery: Delivery, _ envelope: Envelope) async {
        let message = Envelope.quarantined(delivery.message, from: origin(of: delivery), queue: delivery.queue)
        guard case .stored = await store.store(message, at: .queue(queue.name.quarantine), for: delivery) else {
            return requeue(delivery)
        }
        delivery.ack()
        counters.quarantined.add(1, ordering: .relaxed)
        queue.logJob(
            .error,
            "A job may have crashed a worker, since a start of it has no end; it is quarantined",
            envelope,
            as: "quarantined"
        )
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
        as outcome: Outcome,
        after delay: Duration,
        _ envelope: Envelope?,
        _ error: (any Error)?
    ) async -> Outcome {
        guard let envelope else { preconditionFailure("A message that can't be decoded can't be retried.") }
        let cause = error ?? JobFailure("The job is to be tried again.", decision: .retry)
        let message = envelope.retried(
            after: delay,
            error: cause,
            worker: queue.worker.settings.name,
            now: queue.worker.now()
        )
        var stored = await store.store(
            message,
            at: destination(after: delay.roundedUpToSeconds, delivery),
            for: delivery,
            refusing: { $0.code == .nacked || $0.isAboutTheMessage && canDeadLetter(delivery) }
        )
        // A full queue takes nothing until it has been consumed, so the retry waits at the broker.
        if case .refused(let error) = stored, error.code == .nacked {
            stored = await store.store(message, at: destination(after: .seconds(1), delivery), for: delivery)
        }
        return conclude(delivery, stored, as: outcome)
    }

    private func deadLetter(
        _ delivery: Delivery,
        _ reason: DeadReason,
        attempt: Int?,
        _ error: (any Error)?
    ) async -> Outcome {
        let record = FailureRecord(
            reason: reason,
            error: error,
            message: delivery.message,
            attempt: attempt,
            origin: origin(of: delivery),
            worker: queue.worker.settings.name,
            now: queue.worker.now()
        )
        let stored = await store.store(
            Envelope.deadLetter(delivery.message, record: record),
            at: Destination(exchange: queue.worker.topology.deadExchange, routingKey: queue.name.rawValue),
            for: delivery,
            refusing: { ($0.isAboutTheMessage || $0.code == .accessRefused) && canDeadLetter(delivery) }
        )
        return conclude(delivery, stored, as: .dead(reason))
    }

    /// The number of the attempt that an error ended; `nil` if the error is about a message for which no handler was
    /// called.
    private func attempt(_ envelope: Envelope?, _ error: (any Error)?) -> Int? {
        error == nil || error is EnvelopeError ? nil : envelope?.attempt
    }

    /// Parks a job; if the parked queue is full, the job is dead.
    private func park(_ delivery: Delivery) async -> Outcome {
        let message = Envelope.parked(delivery.message, from: origin(of: delivery), now: queue.worker.now())
        let stored = await store.store(
            message,
            at: .queue(queue.name.parked),
            for: delivery,
            refusing: { $0.code == .nacked || $0.isAboutTheMessage && canDeadLetter(delivery) }
        )
        if case .refused(let error) = stored, error.code == .nacked {
            let error = JobFailure.permanent("No worker knows the job, and the queue '\(queue.name.parked)' is full.")
            return await deadLetter(delivery, .unknownName, attempt: nil, error)
        }
        return conclude(delivery, stored, as: .parked)
    }

    // MARK: After the copy is stored

    /// Acknowledges a delivery whose copy is stored, or does what can be done if it isn't.
    private func conclude(_ delivery: Delivery, _ stored: OutcomeStore.Answer, as outcome: Outcome) -> Outcome {
        switch stored {
        case .stored:
            if delivery.isLost { noteLate(delivery, outcome.name) }
            delivery.ack()
            return outcome
        case .refused(let error):
            queue.logger.error(
                "A job's copy can't be stored, so the broker moves the original to the dead queue, without a record",
                metadata: [
                    LogKey.jobID: "\(delivery.jobID)", LogKey.outcome: "\(outcome)", LogKey.error: "\(error)",
                ]
            )
            delivery.reject(requeue: false)
            return outcome.deadReason == nil ? .dead(.unstorable) : outcome
        case .lost:
            noteLate(delivery, outcome.name)
            return .requeued
        case .stopped:
            delivery.nack(requeue: true)
            return .requeued
        }
    }

    /// True if the broker certainly keeps the delivery in the dead queue when it is rejected.
    private func canDeadLetter(_ delivery: Delivery) -> Bool { queue.declarer.deadLetters(delivery.queue) }

    /// Counts a delivery that the broker took back before it was settled.
    private func noteLate(_ delivery: Delivery, _ copy: String) {
        counters.lateSettlements.add(1, ordering: .relaxed)
        queue.logger.info(
            "The broker took a job back before it was settled; the job will run again",
            metadata: [LogKey.jobID: "\(delivery.jobID)", LogKey.outcome: "\(copy)"]
        )
    }

    private func log(_ outcome: Outcome, _ envelope: Envelope?, _ delivery: Delivery, _ error: (any Error)?) {
        switch outcome.kind {
        case .succeeded, .expired, .requeued: return
        case .retry(let delay):
            queue.logJob(.warning, "A job failed and will be retried", envelope, as: outcome.name, error) {
                $0[LogKey.delay] = "\(delay)"
            }
        case .dead(let reason):
            queue.logJob(.error, "A job is dead", envelope, as: outcome.name, error) {
                $0[LogKey.reason] = "\(reason)"
                $0[LogKey.jobID] = "\(delivery.jobID.truncated(toBytes: 80))"
            }
        case .parked:
            queue.logJob(.error, "No handler here has the job's name; it is parked", envelope, as: outcome.name)
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

/// Stores copies of jobs for a ``Settlement``: as `mandatory`, with confirms, for as long as it takes.
private struct OutcomeStore: Sendable {
    /// The end of an attempt to store a copy.
    enum Answer: Sendable {
        /// The broker has confirmed the copy.
        case stored
        /// The copy can't be stored for a reason that the caller takes as final.
        case refused(AMQPError)
        /// The broker has taken the original back.
        case lost
        /// The worker stopped first.
        case stopped
    }

    /// The time limit of one publish.
    private static let timeout: Duration = .seconds(15)

    private let queue: QueueContext
    private let failures: Counter

    init(_ queue: QueueContext) {
        self.queue = queue
        failures = Counter(label: "warren_settlement_failures", dimensions: [("queue", queue.name.rawValue)])
    }

    /// Publishes and waits for the confirm; publishes again, after growing pauses, until it succeeds.
    ///
    /// Publishing again after an unknown outcome may make a second copy; requeueing the original would make one for
    /// certain.
    ///
    /// - Parameter isFinal: Whether to return an error as ``Answer/refused(_:)`` instead.
    func store(
        _ message: Message,
        at destination: Destination,
        for delivery: Delivery,
        refusing isFinal: (AMQPError) -> Bool = { _ in false }
    ) async -> Answer {
        if destination.exchange.hasPrefix(DelayLadder.namePrefix) { await queue.declarer.ladderIsReady.wait() }
        var backoff = Backoff(from: .milliseconds(100), to: .seconds(5))
        var unstored: Int?
        defer { if let unstored { queue.unstored.remove(unstored) } }
        while true {
            guard let error = await publish(message, to: destination) else { return .stored }
            failures.increment()
            if delivery.isLost { return .lost }
            if isFinal(error) { return .refused(error) }
            if Task.isCancelled || error.code == .closed { return .stopped }
            // A full queue has to be consumed, or it stays full.
            if unstored == nil, error.code != .nacked { unstored = queue.unstored.add(error.message) }
            warn(error, destination, delivery)
            if error.code == .notFound || error.code == .unroutable { await declare() }
            try? await queue.worker.clock.sleep(for: backoff.next())
        }
    }

    private func publish(_ message: Message, to destination: Destination) async -> AMQPError? {
        // A shield: shutdown cancels jobs, and must not cancel the publish that makes a job's outcome durable.
        await Task { () async -> AMQPError? in
            do throws(AMQPError) {
                try await queue.worker.transport.publish(
                    message,
                    to: destination,
                    mandatory: true,
                    deadline: .now + Self.timeout
                )
                return nil
            } catch {
                return error
            }
        }.value
    }

    /// Declares the queue with all that belongs to it, since a part is missing.
    private func declare() async {
        guard queue.worker.settings.declaresTopology else { return }
        do {
            try await queue.declarer.declare(queue.name)
        } catch {
            queue.logger.warning("The queue can't be declared again", metadata: [LogKey.reason: "\(error)"])
        }
    }

    /// Logs an error that may pass quickly as a warning, one that lasts as an error, each kind once a minute.
    private func warn(_ error: AMQPError, _ destination: Destination, _ delivery: Delivery) {
        guard let leftOut = queue.throttle.leftOut("unstored \(error.code) \(destination.exchange)") else { return }
        queue.logger.log(
            level: error.isRetriable ? .warning : .error,
            "The outcome of a job can't be stored; it keeps its slot, and no other job of the queue starts until it is",
            metadata: [
                LogKey.jobID: "\(delivery.jobID)", LogKey.error: "\(error)", LogKey.count: "\(leftOut + 1)",
            ]
        )
    }
}

extension AMQPError {
    /// True if the message itself can't be published, now or later.
    fileprivate var isAboutTheMessage: Bool { code == .messageTooLarge || code == .invalidArgument }
}

extension DeadReason {
    /// No worker knows the job's name, and the parked queue was full.
    static let unknownName = DeadReason(rawValue: "unknown-name")
    /// The job could not be stored for its next attempt, as when its message is larger than the broker accepts.
    static let unstorable = DeadReason(rawValue: "unstorable")
}

extension Delivery {
    /// The job's id as its message says, for logs.
    var jobID: String { message.properties.headers?[EnvelopeHeader.id]?.stringValue ?? "?" }
}

extension QueueContext {
    /// The number of times a minute that the same is logged about jobs of one name.
    private static let logLimit = 20

    /// Logs what happened to a job.
    ///
    /// What happens to very many jobs of one name is logged for some of them a minute, with the number of those left
    /// out.
    fileprivate func logJob(
        _ level: Logger.Level,
        _ text: Logger.Message,
        _ envelope: Envelope?,
        as event: String,
        _ error: (any Error)? = nil,
        _ add: (inout Logger.Metadata) -> Void = { _ in }
    ) {
        let name = envelope?.name.truncated(toBytes: 80) ?? "?"
        guard let leftOut = throttle.leftOut("\(event) \(name)", limit: Self.logLimit) else { return }
        var metadata: Logger.Metadata = [LogKey.job: "\(name)"]
        if let envelope {
            metadata[LogKey.jobID] = "\(envelope.id.truncated(toBytes: 80))"
            metadata[LogKey.attempt] = "\(envelope.attempt)"
        }
        if let error {
            let description = ErrorDescription(error)
            metadata[LogKey.error] = "\(description.type): \(description.message.truncated(toBytes: 500))"
        }
        add(&metadata)
        if leftOut > 0 { metadata[LogKey.leftOut] = "\(leftOut)" }
        logger.log(level: level, text, metadata: metadata)
    }
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
