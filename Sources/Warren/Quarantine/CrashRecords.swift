import AMQP

#if canImport(FoundationEssentials)
public import FoundationEssentials
#else
public import Foundation
#endif

/// The reason why a job is quarantined: it was started alone several times, and each time its process ended before the
/// job did.
///
/// The starts are kept at the broker while such a job runs, so this is counted, not guessed from delivery counts.
public struct CrashHistory: Error, Sendable, Hashable, CustomStringConvertible {
    /// A start that never ended.
    public struct Crash: Sendable, Hashable {
        /// The name of the worker that the job took down.
        public var worker: String
        /// The time at which the job was started there.
        public var startedAt: Date

        /// A start on a worker.
        public init(worker: String, startedAt: Date) {
            self.worker = worker
            self.startedAt = startedAt
        }
    }

    /// The error type that failure records use for a crash.
    public static let errorType = "crash"

    /// The starts, oldest first.
    public var crashes: [Crash]

    /// A history of these starts.
    public init(crashes: [Crash]) {
        self.crashes = crashes.sorted { $0.startedAt < $1.startedAt }
    }

    /// The workers that the job took down, with times, for the failure record.
    public var description: String {
        let places = crashes.map { "\($0.worker) (started \(WireTime.text($0.startedAt)))" }.joined(separator: ", ")
        return "The job ran alone \(crashes.count) times, and each time its process ended before it did: \(places)."
    }
}

/// The record of one start of a job that may be poison.
///
/// It stays at the broker if the process ends before the job does.
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

/// The start records of one job, in a small queue at the broker.
///
/// A record is published and confirmed before the job starts, and removed when the job has ended. So the records found
/// when the job is delivered again are the starts that never ended. Reading takes the records and requeues them; if a
/// process dies, the broker does.
struct CrashRecords: Sendable {
    /// The most records that are read: the crash limit is reached long before.
    private static let readingLimit = 100
    /// The time without use after which the broker deletes the queue.
    private static let lifetime: Duration = .seconds(24 * 3_600)
    /// The time limit of one publish.
    private static let timeout: Duration = .seconds(15)

    let queue: QueueName
    let jobID: String
    let kind: QueueKind
    let transport: any Transport

    /// The queue's name.
    ///
    /// The job id is hashed, because it may be too long or contain characters unfit for a queue's name.
    var name: String { queue.crashRecords(Self.hash(of: jobID)) }

    /// Declares the queue and reads the records of this job, oldest first.
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
            // Another version of Warren or of the broker declared it: that queue serves as well.
            guard error.code == .declarationMismatch else { throw error }
        }
        var found: [CrashRecord] = []
        try await browse { record in
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

    /// Removes one record; does nothing if it isn't there.
    func remove(_ record: CrashRecord) async throws(AMQPError) {
        do {
            try await browse { $0.id == record.id }
        } catch {
            guard error.code == .notFound else { throw error }
        }
    }

    /// Removes the queue with all records.
    func removeAll() async throws(AMQPError) {
        _ = try await transport.deleteQueue(name)
    }

    /// Looks at the records one by one until `isDone` returns true for one, which is removed.
    private func browse(_ isDone: (CrashRecord) -> Bool) async throws(AMQPError) {
        var browsed = BrowsedDeliveries()
        defer { browsed.requeue() }
        while browsed.count < Self.readingLimit, let delivery = try await transport.get(queue: name) {
            if let record = CrashRecord(delivery.message), isDone(record) {
                return delivery.ack()
            }
            browsed.add(delivery)
        }
    }

    /// A hash that is the same in every process: 64-bit FNV-1a (<http://www.isthe.com/chongo/tech/comp/fnv/>), as 16
    /// hexadecimal digits.
    ///
    /// It protects nothing: whoever chooses the text can choose the hash.
    private static func hash(of text: String) -> String {
        var hash: UInt64 = 0xcbf2_9ce4_8422_2325
        for byte in text.utf8 { hash = (hash ^ UInt64(byte)) &* 0x100_0000_01b3 }
        let digits = String(hash, radix: 16)
        return String(repeating: "0", count: 16 - digits.count) + digits
    }
}
