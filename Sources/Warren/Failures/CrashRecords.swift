import AMQP

#if canImport(FoundationEssentials)
import FoundationEssentials
#else
import Foundation
#endif

/// The records of one suspected job's starts: a small queue of its own at the broker.
///
/// A record is published and confirmed before the job starts, and goes when the job has ended. So what is there when the job comes again
/// are the starts that never ended. Reading takes the records and hands them back; whenever a process dies, the broker does that.
struct CrashRecords: Sendable {
    /// How many are read at most: the limit is reached long before.
    private static let readingLimit = 100
    /// After how long unused the broker deletes the queue by itself.
    private static let lifetime: Duration = .seconds(24 * 3_600)
    private static let timeout: Duration = .seconds(15)

    let queue: QueueName
    let jobID: String
    let kind: QueueKind
    let transport: any Transport

    /// The queue's name: the id is hashed, because it may be too long or have letters that a queue's name had better not have.
    var name: String { queue.suspect(StableHash.text(of: jobID)) }

    /// Declares the queue and reads what is there of this job, the oldest first.
    func open() async throws(AMQPError) -> [CrashRecord] {
        let features = BrokerFeatures(try await transport.broker().version)
        let arguments = QueueArguments(kind) {
            $0.expires = Self.lifetime
            // Each look counts as a delivery, and at a limit the broker would drop the record.
            if kind == .quorum { $0.deliveryLimit = features.unlimitedDeliveryLimit }
        }
        do {
            try await transport.declare(QueueDeclaration(name, arguments: arguments))
        } catch {
            // Another version of Warren or of the broker declared it: that does as well.
            guard error.code == .declarationMismatch else { throw error }
        }
        var found: [CrashRecord] = []
        try await lookThrough { record in
            if record.jobID == jobID { found.append(record) }
            return false
        }
        return found.sorted { $0.time < $1.time }
    }

    func add(_ record: CrashRecord) async throws(AMQPError) {
        try await transport.publish(
            record.message,
            to: .queue(name),
            mandatory: true,
            deadline: .now + Self.timeout
        )
    }

    /// Removes one record; one that isn't there is no error.
    func remove(_ record: CrashRecord) async throws(AMQPError) {
        do {
            try await lookThrough { $0.id == record.id }
        } catch {
            guard error.code == .notFound else { throw error }
        }
    }

    /// Removes the queue with all records.
    func removeAll() async throws(AMQPError) {
        _ = try await transport.deleteQueue(name)
    }

    private func lookThrough(_ isDone: (CrashRecord) -> Bool) async throws(AMQPError) {
        var pile = BrowsedDeliveries()
        defer { pile.requeue() }
        while pile.count < Self.readingLimit, let delivery = try await transport.get(queue: name) {
            if let record = CrashRecord(delivery.message), isDone(record) {
                return delivery.ack()
            }
            pile.add(delivery)
        }
    }
}
