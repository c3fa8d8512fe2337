import AMQP

#if canImport(FoundationEssentials)
import FoundationEssentials
#else
import Foundation
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
