public import AMQP

#if canImport(FoundationEssentials)
public import FoundationEssentials
#else
public import Foundation
#endif

/// The dead letters of an application's queues: list, replay or discard jobs that can't succeed.
///
/// AMQP can't show a message without delivering it. So messages are taken, kept unsettled while they are examined, and
/// requeued. Until then nobody else sees them. Their delivery count grows, which does no harm because dead queues have
/// no delivery limit. On RabbitMQ 3 they return to the end of the queue, so don't rely on their order. If this process
/// dies, the broker requeues them.
public struct DeadLetters: Sendable {
    private let transport: any Transport
    private let topology: Topology
    private let clock: any Clock<Duration>
    private let now: @Sendable () -> Date

    /// Creates access to the dead letters at a broker.
    ///
    /// - Parameters:
    ///   - transport: The broker. It isn't closed here.
    ///   - topology: The queues that differ from the default; the same value as in clients and workers.
    ///   - clock: Measures the rate of ``replay(from:where:limit:perSecond:)``.
    ///   - now: The wall clock, with which a replayed job's `expires` is compared.
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

    /// Lists the dead letters of a queue that match a filter.
    ///
    /// - Parameters:
    ///   - queue: The job queue.
    ///   - filter: Selects the dead letters; an empty filter matches all.
    ///   - limit: The most that are returned.
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

    /// Returns the dead letter with this job id; `nil` if the queue has none.
    ///
    /// - Throws: ``WarrenError`` with `deadLettersFailed`.
    public func letter(_ id: String, in queue: QueueName) async throws(WarrenError) -> DeadLetter? {
        try await list(in: queue, where: DeadLetterFilter(id: id), limit: 1).first
    }

    /// Publishes dead letters to their original destinations again, with all their attempts and under the same ids.
    ///
    /// Each is published, confirmed, and only then removed from the dead queue: if this process dies in between, the
    /// job is in both. A dead letter that no queue takes any more stays dead.
    ///
    /// - Parameters:
    ///   - queue: The job queue.
    ///   - filter: Selects the dead letters; an empty filter matches all.
    ///   - limit: The most that are replayed; `nil` for all that were there when this began.
    ///   - perSecond: The most that are replayed in a second; `nil` for as fast as the broker confirms.
    /// - Returns: The numbers of those replayed, and of those that could not be.
    /// - Throws: ``WarrenError`` with `deadLettersFailed`; dead letters replayed before the error stay replayed.
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

    /// Deletes dead letters for good.
    ///
    /// - Parameters:
    ///   - queue: The job queue.
    ///   - filter: Selects the dead letters; an empty filter matches all.
    ///   - limit: The most that are deleted; `nil` for all that were there when this began.
    /// - Returns: The number deleted.
    /// - Throws: ``WarrenError`` with `deadLettersFailed`; dead letters deleted before the error stay deleted.
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

    /// Takes every message of a dead queue once; acks it if `visit` returns true, else requeues it at the end.
    private func walk(
        _ queue: QueueName,
        _ filter: DeadLetterFilter,
        _ limit: Int?,
        _ visit: (DeadLetter) async throws(AMQPError) -> Bool
    ) async throws(WarrenError) {
        try queue.validate()
        var browsed = BrowsedDeliveries()
        do throws(AMQPError) {
            try await visitEach(queue, filter, limit, &browsed, visit)
            let count = browsed.count
            browsed.requeue()
            try await waitForReturn(of: count, to: queue)
        } catch {
            browsed.requeue()
            throw WarrenError(
                .deadLettersFailed,
                error.code == .notFound
                    ? "There is no queue '\(queue.dead)': has a worker or 'topology apply' ever declared '\(queue)'?"
                    : "The dead letters of the queue '\(queue)' could not be read or replayed.",
                underlying: error
            )
        }
    }

    private func visitEach(
        _ queue: QueueName,
        _ filter: DeadLetterFilter,
        _ limit: Int?,
        _ browsed: inout BrowsedDeliveries,
        _ visit: (DeadLetter) async throws(AMQPError) -> Bool
    ) async throws(AMQPError) {
        var visited = 0
        for _ in 0..<(try await transport.status(ofQueue: queue.dead).messageCount) where browsed.hasRoom {
            guard limit.map({ visited < $0 }) ?? true, !Task.isCancelled,
                let delivery = try await transport.get(queue: queue.dead)
            else { return }
            let letter = DeadLetter(delivery.message, of: queue)
            // If the visit throws, the letter is requeued with the others.
            var isDone = false
            defer { if !isDone { browsed.add(delivery) } }
            guard filter.matches(letter) else { continue }
            visited += 1
            isDone = try await visit(letter)
            if isDone { delivery.ack() }
        }
    }

    /// Waits until the broker has requeued the messages, so that the next look finds them; not for long, because
    /// somebody else may take them.
    private func waitForReturn(of count: Int, to queue: QueueName) async throws(AMQPError) {
        for _ in 0..<20 {
            if try await transport.status(ofQueue: queue.dead).messageCount >= count { return }
            try? await clock.sleep(for: .milliseconds(50))
        }
    }

    /// Publishes a dead letter as the job it was.
    ///
    /// Returns false if no queue takes it.
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

/// Selects dead letters.
///
/// A letter matches if it meets every condition that is set; an empty filter matches all.
public struct DeadLetterFilter: Sendable, Hashable {
    /// The job id.
    public var id: String?
    /// The job name.
    public var name: String?
    /// The reason why it is dead.
    public var reason: DeadReason?
    /// The latest time of its death.
    public var diedBefore: Date?
    /// The earliest time of its death.
    public var diedSince: Date?
    /// A text that its job name, error type, message or details contain, ignoring case.
    public var text: String?

    /// Creates a filter.
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

    /// Returns whether a dead letter matches.
    ///
    /// One without a time of death matches no condition on time.
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

/// The result of a replay.
public struct ReplayReport: Sendable, Hashable, Codable {
    /// The number of dead letters replayed.
    public var replayed = 0
    /// The number of dead letters that no queue takes any more, because their exchange or queue is gone.
    ///
    /// They stay dead.
    public var unroutable = 0
}

/// Deliveries that were examined and are requeued when the examination is over: requeued at once, they would be
/// delivered again and again.
///
/// It keeps no messages, only the right to settle them, so it is small whatever was browsed.
struct BrowsedDeliveries {
    /// The most deliveries that may be kept from the broker's queue at a time; messages beyond that are not examined.
    static let limit = 100_000

    private var deliveries: [Delivery] = []

    var count: Int { deliveries.count }
    var hasRoom: Bool { deliveries.count < Self.limit }

    mutating func add(_ delivery: Delivery) {
        var bare = delivery
        bare.message = Message(body: [])
        deliveries.append(bare)
    }

    /// Requeues all.
    ///
    /// If this process dies before, the broker does the same.
    mutating func requeue() {
        for delivery in deliveries { delivery.nack(requeue: true) }
        deliveries = []
    }
}
