import AMQP

#if canImport(FoundationEssentials)
public import FoundationEssentials
#else
public import Foundation
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

/// That a suspected job was started alone: what is left at the broker if its process ends before the job does.
struct CrashRecord: Sendable, Hashable {
    /// The record's own id, by which the worker that wrote it finds it again.
    let id: String
    let jobID: String
    let worker: String
    let time: Date

    init(jobID: String, worker: String, now: Date) {
        id = JobID.make(now: now)
        self.jobID = jobID
        self.worker = worker
        time = now
    }

    /// Reads a record; `nil` if the message isn't one.
    init?(_ message: Message) {
        let headers = message.properties.headers
        guard let id = message.properties.messageID,
            let jobID = headers?[EnvelopeHeader.startedJob]?.stringValue,
            let worker = headers?[EnvelopeHeader.startedBy]?.stringValue,
            let time = headers?[EnvelopeHeader.startedAt].flatMap(WireTime.date)
        else { return nil }
        self.id = id
        self.jobID = jobID
        self.worker = worker
        self.time = time
    }

    var message: Message {
        var properties = BasicProperties()
        properties.messageID = id
        properties.deliveryMode = .persistent
        properties.timestamp = UInt64(clamping: Int64(time.timeIntervalSince1970))
        properties.headers = [
            EnvelopeHeader.startedJob: .string(jobID),
            EnvelopeHeader.startedBy: .string(worker.truncated(toBytes: ErrorDescription.nameLimit)),
            EnvelopeHeader.startedAt: .string(WireTime.text(time)),
        ]
        return Message(properties: properties, body: [])
    }
}

/// Why a job is quarantined: it was started alone so many times, and each time its process ended before the job did.
///
/// The starts are kept at the broker while a suspected job runs, so this is counted, not guessed from delivery counts.
public struct CrashHistory: Error, Sendable, Hashable, CustomStringConvertible {
    /// A start that never ended.
    public struct Crash: Sendable, Hashable {
        /// The worker that it took down.
        public var worker: String
        /// When the job was started there.
        public var startedAt: Date

        /// A start on a worker.
        public init(worker: String, startedAt: Date) {
            self.worker = worker
            self.startedAt = startedAt
        }
    }

    /// The error type that failure records have for a crash.
    public static let errorType = "crash"

    /// The starts, the oldest first.
    public var crashes: [Crash]

    /// A loop of these starts.
    public init(crashes: [Crash]) {
        self.crashes = crashes.sorted { $0.startedAt < $1.startedAt }
    }

    /// Which workers the job took down and when, for the failure record.
    public var description: String {
        let places = crashes.map { "\($0.worker) (started \(WireTime.text($0.startedAt)))" }.joined(separator: ", ")
        return "The job ran alone \(crashes.count) times, and each time its process ended before it did: \(places)."
    }
}

/// A hash that is the same in every process: 64-bit FNV-1a (<http://www.isthe.com/chongo/tech/comp/fnv/>).
///
/// Not for protection: who chooses the text can choose the hash.
enum StableHash {
    /// The hash of a text's UTF-8 bytes as 16 hexadecimal digits.
    static func text(of text: String) -> String {
        var hash: UInt64 = 0xcbf2_9ce4_8422_2325
        for byte in text.utf8 { hash = (hash ^ UInt64(byte)) &* 0x100_0000_01b3 }
        let digits = String(hash, radix: 16)
        return String(repeating: "0", count: 16 - digits.count) + digits
    }
}
