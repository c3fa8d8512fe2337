public import AMQP

#if canImport(FoundationEssentials)
public import FoundationEssentials
#else
public import Foundation
#endif

/// Makes new jobs' messages; what is the same in all of them is prepared once.
struct EnvelopeWriter: Sendable {
    /// The most of a payload that `kwargsrepr` shows, in bytes, as Celery cuts it.
    static let reprLimit = 1024

    /// Which process sends: `gen<pid>@<host>`.
    let origin: String
    /// Whether the beginning of the payload is put into a header, where Celery's tools look for it.
    let showsPayload: Bool

    init(origin: String = EnvelopeWriter.ownOrigin, showsPayload: Bool = true) {
        self.origin = origin
        self.showsPayload = showsPayload
    }

    static let ownOrigin: String = {
        let process = ProcessInfo.processInfo
        return "gen\(process.processIdentifier)@\(process.hostName.truncated(toBytes: 200))"
    }()

    /// What differs from job to job.
    struct Fields {
        var id: String
        var name: String
        var lane: Lane
        var eta: Date?
        var expires: Date?
        var timeLimits: TimeLimits = .none
        var rootID: String?
        var parentID: String?
        var headers: FieldTable?
        var now: Date
    }

    /// The payload's bytes in JSON.
    ///
    /// - Throws: `payloadNotEncodable`, naming the job.
    static func encode<Payload: Job>(_ job: Payload) throws(WarrenError) -> Data {
        let data: Data
        do {
            data = try PayloadCoding.encoder.encode(job)
        } catch {
            throw WarrenError(
                .payloadNotEncodable,
                "The payload of the job '\(Payload.name.truncated(toBytes: 80))' can't be written as JSON.",
                underlying: error
            )
        }
        guard data.first == UInt8(ascii: "{") else {
            throw WarrenError(
                .payloadNotEncodable,
                "The payload of the job '\(Payload.name.truncated(toBytes: 80))' is not a JSON object: its type must encode with keys."
            )
        }
        return data
    }

    /// The message, with `payload` (a JSON object) as the keyword arguments.
    ///
    /// - Throws: `payloadTooLarge`, `headersTooLarge`.
    func message(payload: Data, _ fields: Fields) throws(WarrenError) -> Message {
        guard EnvelopeBody.size(payload: payload.count) <= Message.maximumBodySize else {
            throw WarrenError(
                .payloadTooLarge,
                """
                The payload of the job '\(fields.name.truncated(toBytes: 80))' has \(payload.count) bytes; brokers take messages of at \
                most 16 MiB. Put the data elsewhere and send a reference.
                """
            )
        }
        var properties = BasicProperties()
        properties.contentType = "application/json"
        properties.contentEncoding = "utf-8"
        properties.headers = try headers(payload: payload, fields)
        properties.deliveryMode = .persistent
        properties.correlationID = fields.id
        properties.messageID = fields.id
        properties.timestamp = UInt64(clamping: WireTime.microseconds(fields.now) / 1_000_000)
        return Message(properties: properties, body: EnvelopeBody.make(payload: payload))
    }

    private func headers(payload: Data, _ fields: Fields) throws(WarrenError) -> FieldTable {
        let id = FieldValue.string(fields.id)
        var table = FieldTable(minimumCapacity: 22)
        table.append("swift", uniqueName: EnvelopeHeader.lang)
        table.append(.string(fields.name), uniqueName: EnvelopeHeader.task)
        table.append(id, uniqueName: EnvelopeHeader.id)
        table.append(.void, uniqueName: EnvelopeHeader.shadow)
        table.append(time(fields.eta), uniqueName: EnvelopeHeader.eta)
        table.append(time(fields.expires), uniqueName: EnvelopeHeader.expires)
        table.append(.void, uniqueName: EnvelopeHeader.group)
        table.append(.void, uniqueName: EnvelopeHeader.groupIndex)
        table.append(.int32(0), uniqueName: EnvelopeHeader.retries)
        let limits = fields.timeLimits.isNone ? EnvelopeWriter.noLimits : fields.timeLimits.wire
        table.append(limits, uniqueName: EnvelopeHeader.timeLimit)
        table.append(fields.rootID.map(FieldValue.string) ?? id, uniqueName: EnvelopeHeader.rootID)
        table.append(fields.parentID.map(FieldValue.string) ?? .void, uniqueName: EnvelopeHeader.parentID)
        table.append("()", uniqueName: EnvelopeHeader.argsRepr)
        table.append(.string(representation(of: payload)), uniqueName: EnvelopeHeader.kwargsRepr)
        table.append(.string(origin), uniqueName: EnvelopeHeader.origin)
        table.append(.bool(true), uniqueName: EnvelopeHeader.ignoreResult)
        table.append(.int32(0), uniqueName: EnvelopeHeader.replacedTaskNesting)
        table.append(.void, uniqueName: EnvelopeHeader.stampedHeaders)
        table.append(EnvelopeWriter.noStamps, uniqueName: EnvelopeHeader.stamps)
        table.append(.int64(WireTime.microseconds(fields.now)), uniqueName: EnvelopeHeader.enqueuedAt)
        if fields.lane != .normal { table.append(.string(fields.lane.name), uniqueName: EnvelopeHeader.lane) }
        if let custom = fields.headers, !custom.isEmpty { try add(custom, to: &table, job: fields.name) }
        return table
    }

    private static let noLimits: FieldValue = .array([.void, .void])
    private static let noStamps: FieldValue = .table(FieldTable())

    private func time(_ date: Date?) -> FieldValue { date.map { .string(WireTime.text($0)) } ?? .void }

    private func representation(of payload: Data) -> String {
        guard showsPayload else { return "{…}" }
        if payload.count <= EnvelopeWriter.reprLimit { return String(decoding: payload, as: UTF8.self) }
        // Up to three bytes more than the limit, so that the cut is made between characters and not where bytes are missing.
        return String(decoding: payload.prefix(EnvelopeWriter.reprLimit + 4), as: UTF8.self).truncated(
            toBytes: EnvelopeWriter.reprLimit
        )
    }

    /// Adds the caller's own headers, which may not replace those that the protocol needs.
    private func add(_ custom: FieldTable, to table: inout FieldTable, job: String) throws(WarrenError) {
        for (name, value) in custom {
            guard !name.isEmpty, name.utf8.count <= 255 else {
                throw WarrenError(
                    .headersTooLarge,
                    "A header of the job '\(job.truncated(toBytes: 80))' has a name that is empty or over 255 bytes."
                )
            }
            if EnvelopeWriter.protected.contains(name) { continue }
            table[name] = value
        }
        guard table.wireSize <= HeaderBudget.limit else {
            throw WarrenError(
                .headersTooLarge,
                "The headers of the job '\(job.truncated(toBytes: 80))' take \(table.wireSize) bytes; at most \(HeaderBudget.limit) fit into a message."
            )
        }
    }

    /// What a caller's header can't replace, because a worker would not know the job, or take it for another.
    private static let protected: Set<String> = [
        EnvelopeHeader.lang, EnvelopeHeader.task, EnvelopeHeader.id, EnvelopeHeader.eta, EnvelopeHeader.expires,
        EnvelopeHeader.retries, EnvelopeHeader.timeLimit, EnvelopeHeader.compression, EnvelopeHeader.enqueuedAt,
        EnvelopeHeader.lane,
    ]
}

extension Envelope {
    /// A new job's envelope, as a client sends it.
    ///
    /// - Parameter id: The job's id; a new one by default.
    /// - Parameter eta: When the job is due, if not at once.
    /// - Parameter expires: After when the job is not to be started.
    /// - Parameter timeLimits: How long an attempt may take, where it isn't for the job's type to say.
    /// - Parameter headers: More headers; those that the protocol needs can't be replaced.
    /// - Throws: ``WarrenError`` with `payloadNotEncodable`, `payloadTooLarge` or `headersTooLarge`.
    public init(
        encoding job: some Job,
        id: String? = nil,
        lane: Lane = .normal,
        eta: Date? = nil,
        expires: Date? = nil,
        timeLimits: TimeLimits = .none,
        headers: FieldTable = FieldTable(),
        now: Date
    ) throws(WarrenError) {
        let name = type(of: job).name
        let id = id ?? JobID.make(now: now)
        let fields = EnvelopeWriter.Fields(
            id: id,
            name: name,
            lane: lane,
            eta: eta,
            expires: expires,
            timeLimits: timeLimits,
            headers: headers,
            now: now
        )
        let message = try EnvelopeWriter().message(payload: try EnvelopeWriter.encode(job), fields)
        self.init(id: id, name: name, retries: 0, eta: eta, expires: expires, timeLimits: timeLimits, message: message)
    }
}

/// The names of all headers that Warren reads or writes.
///
/// The first group is Celery's message protocol v2
/// (<https://docs.celeryq.dev/en/stable/internals/protocol.html>); those with `warren-` are ours.
public enum EnvelopeHeader {
    /// The language of the producer.
    public static let lang = "lang"
    /// The job's name.
    ///
    /// Required.
    public static let task = "task"
    /// The job's id.
    ///
    /// Required.
    public static let id = "id"
    /// A name to show instead of the job's.
    public static let shadow = "shadow"
    /// When the job is due, ISO 8601.
    public static let eta = "eta"
    /// After when the job is not to be started, ISO 8601.
    public static let expires = "expires"
    /// The id of the group the job belongs to.
    public static let group = "group"
    /// The job's place in its group.
    public static let groupIndex = "group_index"
    /// How many attempts were made.
    public static let retries = "retries"
    /// Time limits in seconds: hard, soft.
    public static let timeLimit = "timelimit"
    /// The id of the first job of the workflow.
    public static let rootID = "root_id"
    /// The id of the job that enqueued this one; on a retry, the job's own.
    public static let parentID = "parent_id"
    /// The positional arguments, to be read by people.
    public static let argsRepr = "argsrepr"
    /// The keyword arguments, to be read by people.
    public static let kwargsRepr = "kwargsrepr"
    /// Which process sent the job first.
    public static let origin = "origin"
    /// Whether a result is unwanted.
    public static let ignoreResult = "ignore_result"
    /// How often the job replaced itself.
    public static let replacedTaskNesting = "replaced_task_nesting"
    /// The names of the stamps.
    public static let stampedHeaders = "stamped_headers"
    /// The stamps.
    public static let stamps = "stamps"
    /// How the body is compressed.
    public static let compression = "compression"

    /// The broker's count of earlier deliveries, on quorum queues.
    public static let deliveryCount = "x-delivery-count"

    /// When the job was first enqueued: microseconds since 1970.
    public static let enqueuedAt = "warren-enqueued-at"
    /// The lane the job was enqueued to, if it isn't the normal one.
    public static let lane = "warren-lane"
    /// The failures so far: an array of tables, the oldest first.
    public static let history = "warren-history"
    /// How many failures there were, also those that ``history`` no longer holds.
    public static let failures = "warren-failures"
    /// When the job failed first, ISO 8601.
    public static let firstFailedAt = "warren-first-failed-at"
    /// When the job failed last, ISO 8601.
    public static let lastFailedAt = "warren-last-failed-at"
    /// Why the job is in the dead queue.
    public static let deadReason = "warren-dead-reason"
    /// When the job was moved to the dead queue, ISO 8601.
    public static let deadAt = "warren-dead-at"
    /// The type of the last error.
    public static let errorType = "warren-error-type"
    /// The message of the last error.
    public static let errorMessage = "warren-error-message"
    /// More about the last error.
    public static let errorDetails = "warren-error-details"
    /// When the job was parked, ISO 8601.
    public static let parkedAt = "warren-parked-at"
    /// The exchange through which the job came to its queue.
    public static let originalExchange = "warren-original-exchange"
    /// The routing key with which the job came to its queue.
    public static let originalRoutingKey = "warren-original-routing-key"
    /// In the record of a suspected job's start: the job's id.
    static let startedJob = "warren-started-job"
    /// In the record of a suspected job's start: the worker.
    static let startedBy = "warren-started-by"
    /// In the record of a suspected job's start: when, ISO 8601.
    static let startedAt = "warren-started-at"
    /// Names of headers that had to go so that the others fit into one frame.
    public static let droppedHeaders = "warren-dropped-headers"
}
