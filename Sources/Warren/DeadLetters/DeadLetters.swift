public import AMQP

#if canImport(FoundationEssentials)
public import FoundationEssentials
#else
public import Foundation
#endif

/// The dead queues of an application: look at what can't succeed, put it back, or throw it away.
///
/// AMQP has no way to look at a message without taking it. So messages are taken, kept unsettled while they are looked at, and given
/// back: meanwhile nobody else sees them; their delivery count grows, which does no harm because dead queues have no delivery limit;
/// and on RabbitMQ 3 they go to the end of the queue, so the order is not to be relied upon. If this process dies, the broker gives them back.
public struct DeadLetters: Sendable {
    private let transport: any Transport
    private let topology: Topology
    private let clock: any Clock<Duration>
    private let now: @Sendable () -> Date

    /// The dead letters at a broker.
    ///
    /// - Parameter clock: Against which the rate of ``replay(from:where:limit:perSecond:)`` is measured.
    /// - Parameter now: The wall clock, which says whether a replayed job's `expires` has passed.
    public init(
        _ transport: some Transport,
        topology: Topology = Topology(),
        clock: any Clock<Duration> = ContinuousClock(),
        now: @escaping @Sendable () -> Date = { Date() }
    ) {
        self.transport = transport
        self.topology = topology
        self.clock = clock
        self.now = now
    }

    /// The dead letters of a queue that a filter means, at most `limit`.
    ///
    /// - Throws: ``WarrenError`` with `deadLettersFailed`.
    public func list(
        in queue: QueueName,
        where filter: DeadLetterFilter = DeadLetterFilter(),
        limit: Int = 100
    ) async throws(WarrenError) -> [DeadLetter] {
        var found: [DeadLetter] = []
        try await walk(queue, filter, limit) { letter in
            found.append(letter)
            return false
        }
        return found
    }

    /// The dead letter of this job id; `nil` if the queue has none.
    ///
    /// - Throws: ``WarrenError`` with `deadLettersFailed`.
    public func letter(_ id: String, in queue: QueueName) async throws(WarrenError) -> DeadLetter? {
        try await list(in: queue, where: DeadLetterFilter(id: id), limit: 1).first
    }

    /// Puts dead letters back to where they came from, with all their attempts and under the same ids.
    ///
    /// Each is published, confirmed, and only then taken out of the dead queue: if this process dies in between, the job is in both.
    /// One that no queue takes any more stays dead.
    ///
    /// - Parameter limit: How many at most; `nil` for all that were there when this began.
    /// - Parameter perSecond: How many a second at most; `nil` for as fast as the broker confirms.
    /// - Returns: How many were put back, and how many could not be.
    /// - Throws: ``WarrenError`` with `deadLettersFailed`; what was put back before stays so.
    public func replay(
        from queue: QueueName,
        where filter: DeadLetterFilter = DeadLetterFilter(),
        limit: Int? = nil,
        perSecond: Double? = nil
    ) async throws(WarrenError) -> ReplayReport {
        var report = ReplayReport()
        try await walk(queue, filter, limit) { letter async throws(AMQPError) in
            if let perSecond, report.replayed > 0 { try? await clock.sleep(for: .seconds(1 / max(perSecond, 0.001))) }
            guard try await publish(letter) else {
                report.unroutable += 1
                return false
            }
            report.replayed += 1
            return true
        }
        return report
    }

    /// Throws dead letters away for good, and says how many.
    ///
    /// - Throws: ``WarrenError`` with `deadLettersFailed`; what was thrown away before stays so.
    public func discard(
        from queue: QueueName,
        where filter: DeadLetterFilter,
        limit: Int? = nil
    ) async throws(WarrenError) -> Int {
        var discarded = 0
        try await walk(queue, filter, limit) { _ in
            discarded += 1
            return true
        }
        return discarded
    }

    /// Takes every message of a dead queue once; acks it if `visit` says that it is done with, else gives it back at the end.
    private func walk(
        _ queue: QueueName,
        _ filter: DeadLetterFilter,
        _ limit: Int?,
        _ visit: (DeadLetter) async throws(AMQPError) -> Bool
    ) async throws(WarrenError) {
        try queue.validate()
        var left = BrowsedDeliveries()
        do throws(AMQPError) {
            try await visitEach(queue, filter, limit, &left, visit)
            let count = left.count
            left.requeue()
            try await waitForReturn(of: count, to: queue)
        } catch {
            left.requeue()
            throw WarrenError(
                .deadLettersFailed,
                error.code == .notFound
                    ? "There is no queue '\(queue.dead)': has a worker or 'topology apply' ever declared '\(queue)'?"
                    : "The dead letters of queue '\(queue)' could not be worked on.",
                underlying: error
            )
        }
    }

    private func visitEach(
        _ queue: QueueName,
        _ filter: DeadLetterFilter,
        _ limit: Int?,
        _ left: inout BrowsedDeliveries,
        _ visit: (DeadLetter) async throws(AMQPError) -> Bool
    ) async throws(AMQPError) {
        var visited = 0
        for _ in 0..<(try await transport.status(ofQueue: queue.dead).messageCount) where left.hasRoom {
            guard limit.map({ visited < $0 }) ?? true, !Task.isCancelled,
                let delivery = try await transport.get(queue: queue.dead)
            else { return }
            let letter = DeadLetter(delivery.message, of: queue)
            // Should the visit throw, the letter is given back with the others.
            var isDone = false
            defer { if !isDone { left.add(delivery) } }
            guard filter.matches(letter) else { continue }
            visited += 1
            isDone = try await visit(letter)
            if isDone { delivery.ack() }
        }
    }

    /// Waits until the broker has put back what was given back, so that the next look finds it; not for long, because someone else
    /// may take it meanwhile.
    private func waitForReturn(of count: Int, to queue: QueueName) async throws(AMQPError) {
        for _ in 0..<20 {
            if try await transport.status(ofQueue: queue.dead).messageCount >= count { return }
            try? await clock.sleep(for: .milliseconds(50))
        }
    }

    /// Publishes a dead letter as the job it was.
    ///
    /// False if no queue takes it.
    private func publish(_ letter: DeadLetter) async throws(AMQPError) -> Bool {
        do {
            try await transport.publish(
                Envelope.replayed(letter.message, now: now()),
                to: letter.origin(in: topology),
                mandatory: true,
                deadline: .now + .seconds(15)
            )
            return true
        } catch {
            guard error.code == .unroutable || error.code == .notFound else { throw error }
            return false
        }
    }
}

/// Which dead letters are meant: those to which all that is set applies.
///
/// Without anything set, all.
public struct DeadLetterFilter: Sendable, Hashable {
    /// Those with this id.
    public var id: String?
    /// Those of this job.
    public var name: String?
    /// Those with this reason.
    public var reason: DeadReason?
    /// Those that died at this time or earlier.
    public var diedBefore: Date?
    /// Those that died at this time or later.
    public var diedSince: Date?
    /// Those whose job name, error type, message or details hold this text, whatever its case.
    public var text: String?

    /// A filter.
    public init(
        id: String? = nil,
        name: String? = nil,
        reason: DeadReason? = nil,
        diedBefore: Date? = nil,
        diedSince: Date? = nil,
        text: String? = nil
    ) {
        self.id = id
        self.name = name
        self.reason = reason
        self.diedBefore = diedBefore
        self.diedSince = diedSince
        self.text = text
    }

    /// Whether a dead letter is meant.
    ///
    /// One that doesn't say when it died is of no age.
    public func matches(_ letter: DeadLetter) -> Bool {
        let record = letter.record
        if let id, letter.id != id { return false }
        if let name, letter.name != name { return false }
        if let reason, record.reason != reason { return false }
        if let diedBefore, !(record.deadAt.map { $0 <= diedBefore } ?? false) { return false }
        if let diedSince, !(record.deadAt.map { $0 >= diedSince } ?? false) { return false }
        if let text {
            let wanted = text.lowercased()
            return [letter.name, record.errorType, record.message, record.details].contains {
                $0?.lowercased().contains(wanted) ?? false
            }
        }
        return true
    }
}

/// What came of a replay.
public struct ReplayReport: Sendable, Hashable, Codable {
    /// How many dead letters were put back.
    public var replayed = 0
    /// How many no queue takes any more: their exchange or queue is gone.
    ///
    /// They stay dead.
    public var unroutable = 0
}

/// Deliveries that were looked at and are to go back when the look is over: handed back at once, they would be seen again and again.
///
/// It keeps no message, only the right to settle, so a pile is small whatever it holds.
struct BrowsedDeliveries {
    /// How many deliveries a look may keep from the broker's queue at a time; more than that is not looked through.
    static let limit = 100_000

    private var deliveries: [Delivery] = []

    var count: Int { deliveries.count }
    var hasRoom: Bool { deliveries.count < Self.limit }

    mutating func add(_ delivery: Delivery) {
        var bare = delivery
        bare.message = Message(body: [])
        deliveries.append(bare)
    }

    /// Gives all back to their queue.
    ///
    /// If this process dies before, the broker does the same.
    mutating func requeue() {
        for delivery in deliveries { delivery.nack(requeue: true) }
        deliveries = []
    }
}
