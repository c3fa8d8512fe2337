package import AMQP

#if canImport(FoundationEssentials)
package import FoundationEssentials
#else
package import Foundation
#endif

/// Encodes new jobs as messages.
struct EnvelopeWriter: Sendable {
    /// The most bytes of a payload in `kwargsrepr`, as in Celery.
    private static let reprLimit = 1024

    /// The sending process: `gen<pid>@<host>`.
    static let origin: String = {
        let process = ProcessInfo.processInfo
        return "gen\(process.processIdentifier)@\(process.hostName.truncated(toBytes: 200))"
    }()

    /// True if the beginning of the payload is copied into a header, where Celery's tools look for it.
    private let showsPayload: Bool

    init(showsPayload: Bool = false) { self.showsPayload = showsPayload }

    /// Keeps nothing from one use to the next, so one serves all threads.
    private static let encoder: JSONEncoder = {
        let encoder = JSONEncoder()
        encoder.outputFormatting = .withoutEscapingSlashes
        encoder.dateEncodingStrategy = .custom { date, encoder in
            var container = encoder.singleValueContainer()
            try container.encode(WireTime.text(date))
        }
        return encoder
    }()

    /// The payload's bytes in JSON.
    ///
    /// - Throws: `payloadNotEncodable`, naming the job.
    static func encode<Payload: Job>(_ job: Payload) throws(WarrenError) -> Data {
        let data: Data
        do {
            data = try encoder.encode(job)
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
                """
                The payload of the job '\(Payload.name.truncated(toBytes: 80))' is not a JSON object: its type \
                must encode with keys.
                """
            )
        }
        return data
    }

    /// The message, with the request's payload as the keyword arguments.
    ///
    /// - Throws: `payloadTooLarge`, `headersTooLarge`.
    func message(for request: EnqueueRequest, now: Date) throws(WarrenError) -> Message {
        guard EnvelopeBody.size(payload: request.payload.count) <= Message.maximumBodySize else {
            throw WarrenError(
                .payloadTooLarge,
                """
                The payload of the job '\(request.name.truncated(toBytes: 80))' has \(request.payload.count) bytes; \
                brokers take messages of at most 16 MiB. Store the data elsewhere and send a reference.
                """
            )
        }
        var properties = BasicProperties.Values()
        properties.contentType = "application/json"
        properties.contentEncoding = "utf-8"
        properties.headers = try headers(for: request, now: now)
        properties.deliveryMode = .persistent
        properties.correlationID = request.id
        properties.messageID = request.id
        properties.timestamp = UInt64(clamping: WireTime.microseconds(now) / 1_000_000)
        return Message(properties: BasicProperties(properties), body: EnvelopeBody.make(payload: request.payload))
    }

    private func headers(for request: EnqueueRequest, now: Date) throws(WarrenError) -> FieldTable {
        var headers = FieldTableWriter(capacity: 768)
        headers.write(EnvelopeHeader.lang, "swift")
        headers.write(EnvelopeHeader.task, request.name)
        headers.write(EnvelopeHeader.id, request.id)
        headers.write(EnvelopeHeader.shadow, .void)
        headers.write(EnvelopeHeader.eta, time(request.dueAt))
        headers.write(EnvelopeHeader.expires, time(request.expiresAt))
        headers.write(EnvelopeWriter.noGroup)
        let limits = request.timeLimits.isNone ? EnvelopeWriter.noLimits : request.timeLimits.wire
        headers.write(EnvelopeHeader.timeLimit, limits)
        headers.write(EnvelopeHeader.rootID, request.rootID ?? request.id)
        headers.write(EnvelopeHeader.parentID, request.parentID.map(FieldValue.string) ?? .void)
        headers.write(EnvelopeHeader.argsRepr, "()")
        headers.write(EnvelopeHeader.kwargsRepr, representation(of: request.payload))
        headers.write(EnvelopeWriter.noResult)
        headers.write(EnvelopeHeader.enqueuedAt, .int64(WireTime.microseconds(now)))
        if request.lane != .normal { headers.write(EnvelopeHeader.lane, request.lane.name) }
        var table = headers.table
        if !request.headers.isEmpty { try add(request.headers, to: &table, job: request.name) }
        return table
    }

    /// The headers of a job that is in no group and was never retried.
    private static let noGroup: FieldTableWriter = {
        var headers = FieldTableWriter(capacity: 64)
        headers.write(EnvelopeHeader.group, .void)
        headers.write(EnvelopeHeader.groupIndex, .void)
        headers.write(EnvelopeHeader.retries, .int32(0))
        return headers
    }()

    /// The headers of a job without a result or stamps.
    private static let noResult: FieldTableWriter = {
        var headers = FieldTableWriter(capacity: 256)
        headers.write(EnvelopeHeader.origin, EnvelopeWriter.origin)
        headers.write(EnvelopeHeader.ignoreResult, .bool(true))
        headers.write(EnvelopeHeader.replacedTaskNesting, .int32(0))
        headers.write(EnvelopeHeader.stampedHeaders, .void)
        headers.write(EnvelopeHeader.stamps, .table(FieldTable()))
        return headers
    }()

    private static let noLimits: FieldValue = .array([.void, .void])

    private func time(_ date: Date?) -> FieldValue { date.map { .string(WireTime.text($0)) } ?? .void }

    private func representation(of payload: Data) -> String {
        guard showsPayload else { return "{…}" }
        if payload.count <= EnvelopeWriter.reprLimit { return String(decoding: payload, as: UTF8.self) }
        // A few bytes more than the limit, so that the text is cut between characters and not inside one.
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
            if EnvelopeHeader.protected.contains(name) { continue }
            table[name] = value
        }
        guard table.wireSize <= HeaderLimits.maximumSize else {
            throw WarrenError(
                .headersTooLarge,
                """
                The headers of the job '\(job.truncated(toBytes: 80))' take \(table.wireSize) bytes; at most \
                \(HeaderLimits.maximumSize) fit into a message.
                """
            )
        }
    }
}

/// The body `[args, kwargs, embed]`.
enum EnvelopeBody {
    /// A job without callbacks and chains.
    static let embed = #"{"callbacks":null,"errbacks":null,"chain":null,"chord":null}"#

    private static let prefix = Array("[[],".utf8)
    private static let suffix = Array(",\(embed)]".utf8)

    /// A body with no positional arguments, `payload` as the keyword arguments, and an empty embed.
    static func make(payload: some Collection<UInt8>) -> [UInt8] {
        var body: [UInt8] = []
        body.reserveCapacity(prefix.count + payload.count + suffix.count)
        body.append(contentsOf: prefix)
        body.append(contentsOf: payload)
        body.append(contentsOf: suffix)
        return body
    }

    /// The size of such a body.
    static func size(payload: Int) -> Int { prefix.count + payload + suffix.count }

    /// The bytes in the place of the keyword arguments; `nil` if the body doesn't have the frame of ``make(payload:)``.
    ///
    /// They aren't always one value: `[[],1,2,{…}]` has the frame too.
    static func payload(of body: [UInt8]) -> ArraySlice<UInt8>? {
        guard body.count >= prefix.count + 2 + suffix.count else { return nil }
        let payload = body[prefix.count..<(body.count - suffix.count)]
        guard payload.first == UInt8(ascii: "{"), body[..<prefix.count].elementsEqual(prefix),
            body[payload.endIndex...].elementsEqual(suffix)
        else { return nil }
        return payload
    }
}

extension Envelope {
    /// A new job's envelope, as a client sends it: for tests and the fuzzer.
    ///
    /// - Throws: ``WarrenError`` with `payloadNotEncodable`, `payloadTooLarge` or `headersTooLarge`.
    package init(
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
        let request = EnqueueRequest(
            id: id,
            name: name,
            queue: type(of: job).queue,
            lane: lane,
            dueAt: eta,
            expiresAt: expires,
            timeLimits: timeLimits,
            headers: headers,
            deadline: .now,
            payload: try EnvelopeWriter.encode(job)
        )
        let message = try EnvelopeWriter().message(for: request, now: now)
        self.init(id: id, name: name, retries: 0, eta: eta, expires: expires, timeLimits: timeLimits, message: message)
    }
}

/// The names of all headers that Warren reads or writes.
///
/// The first group is Celery's message protocol v2
/// (<https://docs.celeryq.dev/en/stable/internals/protocol.html>); those with `warren-` are ours.
package enum EnvelopeHeader {
    /// The language of the producer.
    package static let lang = "lang"
    /// The job's name.
    ///
    /// Required.
    package static let task = "task"
    /// The job's id.
    ///
    /// Required.
    package static let id = "id"
    /// A name to display instead of the job's.
    package static let shadow = "shadow"
    /// The time at which the job is due, ISO 8601.
    package static let eta = "eta"
    /// The time after which the job must not be started, ISO 8601.
    package static let expires = "expires"
    /// The id of the group the job belongs to.
    package static let group = "group"
    /// The job's place in its group.
    package static let groupIndex = "group_index"
    /// The number of earlier attempts.
    package static let retries = "retries"
    /// Time limits in seconds: hard, soft.
    package static let timeLimit = "timelimit"
    /// The id of the first job of the workflow.
    package static let rootID = "root_id"
    /// The id of the job that enqueued this one; on a retry, the job's own.
    package static let parentID = "parent_id"
    /// The positional arguments, for people.
    package static let argsRepr = "argsrepr"
    /// The keyword arguments, for people.
    package static let kwargsRepr = "kwargsrepr"
    /// The process that first sent the job.
    package static let origin = "origin"
    /// True if no result is wanted.
    package static let ignoreResult = "ignore_result"
    /// The number of times that the job replaced itself.
    package static let replacedTaskNesting = "replaced_task_nesting"
    /// The names of the stamps.
    package static let stampedHeaders = "stamped_headers"
    /// The stamps.
    package static let stamps = "stamps"
    /// The compression of the body.
    package static let compression = "compression"

    /// The broker's count of earlier deliveries, on quorum queues.
    package static let deliveryCount = "x-delivery-count"
    /// The broker's count of earlier deliveries of any kind, on quorum queues since RabbitMQ 4.3.
    package static let acquiredCount = "x-acquired-count"

    /// The time at which the job was first enqueued: microseconds since 1970.
    package static let enqueuedAt = "warren-enqueued-at"
    /// The lane the job was enqueued to, if it isn't the normal one.
    package static let lane = "warren-lane"
    /// The failures so far: an array of tables, the oldest first.
    package static let history = "warren-history"
    /// The number of failures, including those that ``history`` no longer holds.
    package static let failures = "warren-failures"
    /// The time of the first failure, ISO 8601.
    package static let firstFailedAt = "warren-first-failed-at"
    /// The time of the last failure, ISO 8601.
    package static let lastFailedAt = "warren-last-failed-at"
    /// The reason why the job is in the dead queue.
    package static let deadReason = "warren-dead-reason"
    /// The time at which the job was moved to the dead queue, ISO 8601.
    package static let deadAt = "warren-dead-at"
    /// The type of the last error.
    package static let errorType = "warren-error-type"
    /// The message of the last error.
    package static let errorMessage = "warren-error-message"
    /// The details of the last error.
    package static let errorDetails = "warren-error-details"
    /// The time at which the job was parked, ISO 8601.
    package static let parkedAt = "warren-parked-at"
    /// The exchange through which the job came to its queue.
    package static let originalExchange = "warren-original-exchange"
    /// The routing key with which the job came to its queue.
    package static let originalRoutingKey = "warren-original-routing-key"
    /// The queue that the job was in before it was quarantined: that of a lane.
    static let quarantinedFrom = "warren-quarantined-from"
    /// In a record of a start: what happened.
    static let startEvent = "warren-start-event"
    /// In a record of a start: the job, by queue and id.
    static let startedJob = "warren-started-job"
    /// In a record of a start: the name of the worker.
    static let startedBy = "warren-started-by"
    /// In a record of a start: the run of the worker.
    static let startedIn = "warren-started-in"
    /// In a record of a start: its time, ISO 8601.
    static let startedAt = "warren-started-at"
    /// In a record of a start: whether it was from quarantine.
    static let startedFromQuarantine = "warren-started-from-quarantine"
    /// The names of headers that were removed so that the others fit into one frame.
    package static let droppedHeaders = "warren-dropped-headers"

    /// The headers that a caller can't replace, because a worker would not recognize the job, or take it for another.
    package static let protected: Set<String> = [
        lang, task, id, eta, expires, retries, timeLimit, compression, enqueuedAt, lane,
    ]
}
