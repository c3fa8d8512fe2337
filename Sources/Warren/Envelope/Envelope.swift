public import AMQP

#if canImport(FoundationEssentials)
public import FoundationEssentials
#else
public import Foundation
#endif

/// A job's message in Celery's protocol v2: headers that name the job and its times, and a body `[args, kwargs,
/// embed]`.
///
/// An envelope keeps the message unchanged. It decodes the headers that decide about the job at once, other headers on
/// access, and the body in ``payload(as:)``.
public struct Envelope: Sendable {
    /// The job's id, the same over all attempts.
    public let id: String
    /// The job's name.
    public let name: String
    /// The number of earlier attempts.
    public let retries: Int
    /// The time at which the job is due; `nil` for at once.
    public let eta: Date?
    /// The time after which the job must not be started; `nil` for never.
    public let expires: Date?
    /// The time that an attempt may take; a limit that the message doesn't have is the one of the job's type.
    public let timeLimits: TimeLimits
    /// The message: properties with all headers, and the body's bytes.
    public let message: Message

    init(
        id: String,
        name: String,
        retries: Int,
        eta: Date?,
        expires: Date?,
        timeLimits: TimeLimits = .none,
        message: Message
    ) {
        self.id = id
        self.name = name
        self.retries = retries
        self.eta = eta
        self.expires = expires
        self.timeLimits = timeLimits
        self.message = message
    }

    /// The number of the attempt that this message asks for, from 1.
    public var attempt: Int { retries + 1 }

    /// All headers.
    public var headers: FieldTable { message.properties.headers ?? FieldTable() }

    /// The time at which a Warren client first enqueued the job; `nil` for jobs of other clients.
    public var enqueuedAt: Date? {
        guard let value = message.properties.headers?[EnvelopeHeader.enqueuedAt] else { return nil }
        if case .int64(let microseconds) = value { return WireTime.date(microseconds: microseconds) }
        return WireTime.date(value)
    }

    /// The number of earlier deliveries of this message; `nil` if the broker doesn't count them.
    ///
    /// Quorum queues do.
    public var deliveryCount: Int? {
        message.properties.headers?[EnvelopeHeader.deliveryCount]?.integerValue.map { Int(clamping: $0) }
    }

    /// Returns whether the job must not be started any more.
    public func isExpired(at now: Date) -> Bool {
        guard let expires else { return false }
        return now >= expires
    }

    // MARK: - Decoding

    /// The longest job name and id that are accepted, in bytes.
    static let maximumNameLength = 255

    /// Decodes a message's headers.
    ///
    /// Of the body only the size is checked.
    ///
    /// - Throws: ``EnvelopeError``.
    public init(decoding message: Message) throws(EnvelopeError) {
        let headers = message.properties.headers ?? FieldTable()
        try Envelope.checkSize(of: headers)
        let name = try Envelope.text(headers[EnvelopeHeader.task], EnvelopeHeader.task, orElse: .missingTask)
        let id = try Envelope.text(headers[EnvelopeHeader.id], EnvelopeHeader.id, orElse: .missingID)
        try Envelope.checkContent(message, compression: headers[EnvelopeHeader.compression])
        self.init(
            id: id,
            name: name,
            retries: try Envelope.retries(headers[EnvelopeHeader.retries]),
            eta: try Envelope.time(headers[EnvelopeHeader.eta], EnvelopeHeader.eta, orElse: .invalidETA),
            expires: try Envelope.time(
                headers[EnvelopeHeader.expires],
                EnvelopeHeader.expires,
                orElse: .invalidExpires
            ),
            timeLimits: TimeLimits(wire: headers[EnvelopeHeader.timeLimit]),
            message: message
        )
    }

    private static func text(
        _ value: FieldValue?,
        _ header: String,
        orElse code: EnvelopeError.Code
    ) throws(EnvelopeError) -> String {
        guard let value, value != .void else { throw EnvelopeError(code, "The message has no '\(header)' header.") }
        guard case .string(let text) = value else { throw EnvelopeError(code, "The '\(header)' header is not text.") }
        if text.isEmpty { throw EnvelopeError(code, "The '\(header)' header is empty.") }
        if text.utf8.count > maximumNameLength {
            throw EnvelopeError(.invalidHeader, "The '\(header)' header is longer than \(maximumNameLength) bytes.")
        }
        return text
    }

    private static func retries(_ value: FieldValue?) throws(EnvelopeError) -> Int {
        guard let value, value != .void else { return 0 }
        guard let number = value.integerValue, (0..<Int64(Int32.max)).contains(number) else {
            throw EnvelopeError(.invalidHeader, "The 'retries' header is not a whole number from 0 up to 2^31.")
        }
        return Int(number)
    }

    private static func time(
        _ value: FieldValue?,
        _ header: String,
        orElse code: EnvelopeError.Code
    ) throws(EnvelopeError) -> Date? {
        guard let value, value != .void else { return nil }
        guard let date = WireTime.date(value) else {
            throw EnvelopeError(code, "The '\(header)' header is not an ISO 8601 time.")
        }
        return date
    }

    private static func checkContent(_ message: Message, compression: FieldValue?) throws(EnvelopeError) {
        if let compression, compression != .void, compression != "" {
            let algorithm = compression.stringValue.map { $0.truncated(toBytes: 60) } ?? "something that is not text"
            throw EnvelopeError(.compressed, "The body is compressed ('\(algorithm)'), which can't be decompressed.")
        }
        try checkContentType(message.properties.contentType)
        try checkContentEncoding(message.properties.contentEncoding)
        if message.body.count > Message.maximumBodySize {
            throw EnvelopeError(.bodyTooLarge, "The body has \(message.body.count) bytes, more than 16 MiB.")
        }
    }

    private static func checkContentType(_ type: String?) throws(EnvelopeError) {
        if type == "application/json" { return }
        guard let type else {
            throw EnvelopeError(.wrongContentType, "The message has no content type; it must be application/json.")
        }
        // Celery takes the bare type only, but a parameter or capitals don't change the format.
        let bare = type.lowercased().prefix { $0 != ";" && $0 != " " }
        if bare == "application/json" { return }
        throw EnvelopeError(
            .wrongContentType,
            "The content type is '\(type.truncated(toBytes: 60))'; it must be application/json."
        )
    }

    private static func checkContentEncoding(_ encoding: String?) throws(EnvelopeError) {
        guard let encoding, encoding != "utf-8" else { return }
        if ["utf-8", "utf8", "us-ascii", "ascii", "binary", ""].contains(encoding.lowercased()) { return }
        throw EnvelopeError(
            .wrongContentEncoding,
            "The content encoding is '\(encoding.truncated(toBytes: 60))'; it must be utf-8."
        )
    }

    // MARK: - Copies to publish

    /// The message for the next attempt.
    ///
    /// Body, id and headers stay, except that `retries` is one higher, `eta` is the time at which the attempt is due,
    /// `parent_id` is the job's own id (as in Celery), the failure is added to the history, and the headers that a
    /// broker added (`x-death` and the like) are removed.
    package func retried(after delay: Duration, error: any Error, worker: String, now: Date) -> Message {
        Envelope.republished(message) { headers in
            headers[EnvelopeHeader.retries] = .integer(Int64(retries + 1))
            headers[EnvelopeHeader.eta] = .string(WireTime.text(now.addingTimeInterval(delay / .seconds(1))))
            headers[EnvelopeHeader.parentID] = .string(id)
            var record = FailureRecord(headers: headers)
            record.add(ErrorDescription(error), attempt: attempt, worker: worker, now: now)
            record.clearDeath()
            record.write(to: &headers)
        }
    }

    /// The message for the dead queue: as delivered, with the record in its headers and without the headers that a
    /// broker added.
    ///
    /// It takes any message, because a message that can't be decoded as an envelope must be kept too.
    package static func deadLetter(_ message: Message, record: FailureRecord) -> Message {
        republished(message) { record.write(to: &$0) }
    }

    /// The message for the parked queue: as delivered, with its origin in its headers and without the headers that a
    /// broker added.
    package static func parked(_ message: Message, from destination: Destination, now: Date) -> Message {
        republished(message) { headers in
            headers[EnvelopeHeader.originalExchange] = .string(destination.exchange.truncated(toBytes: 255))
            headers[EnvelopeHeader.originalRoutingKey] = .string(destination.routingKey.truncated(toBytes: 255))
            headers[EnvelopeHeader.parkedAt] = .string(WireTime.text(now))
        }
    }

    /// The message for the quarantine: as delivered, with its origin and its queue in its headers and without the
    /// headers that a broker added.
    static func quarantined(_ message: Message, from destination: Destination, queue: String) -> Message {
        republished(message) { headers in
            headers[EnvelopeHeader.originalExchange] = .string(destination.exchange.truncated(toBytes: 255))
            headers[EnvelopeHeader.originalRoutingKey] = .string(destination.routingKey.truncated(toBytes: 255))
            headers[EnvelopeHeader.quarantinedFrom] = .string(queue.truncated(toBytes: 255))
        }
    }

    /// The message that replays a dead letter or a parked job with all its attempts: without the record, and with
    /// `retries` at 0.
    ///
    /// An `eta` is removed too, and so is an `expires` that has passed or can't be decoded, so that the replayed job
    /// runs.
    package static func replayed(_ message: Message, now: Date) -> Message {
        republished(message) { headers in
            FailureRecord.remove(from: &headers)
            headers[EnvelopeHeader.parkedAt] = nil
            headers[EnvelopeHeader.retries] = 0
            if headers[EnvelopeHeader.eta] != nil { headers[EnvelopeHeader.eta] = .void }
            if let expires = headers[EnvelopeHeader.expires], WireTime.date(expires).map({ $0 <= now }) ?? true {
                headers[EnvelopeHeader.expires] = .void
            }
        }
    }

    /// A copy to publish.
    ///
    /// It has no `expiration`, with which the broker would drop it on the way or cut a delay short, and no user id,
    /// because the broker refuses any but the publisher's own.
    private static func republished(_ message: Message, change: (inout FieldTable) -> Void) -> Message {
        var message = message
        var headers = message.properties.headers ?? FieldTable()
        BrokerHeaders.remove(from: &headers)
        change(&headers)
        HeaderLimits.trim(&headers)
        message.properties.headers = headers
        message.properties.expiration = nil
        message.properties.userID = nil
        message.properties.deliveryMode = .persistent
        return message
    }
}

/// The headers that a broker added to a message or acts upon, and that a copy must not have.
///
/// Brokers before 4.0 take a republished `x-death` for the message's own history and drop a message that seems to
/// cycle; `CC` and `BCC` would send each copy to further queues.
enum BrokerHeaders {
    static func remove(from headers: inout FieldTable) {
        headers.removeAll { name, _ in contains(name) }
    }

    static func contains(_ name: String) -> Bool {
        if name == "CC" || name == "BCC" { return true }
        guard name.utf8.first == UInt8(ascii: "x") else { return false }
        return name == "x-death" || name == EnvelopeHeader.deliveryCount || name == EnvelopeHeader.acquiredCount
            || name.hasPrefix("x-first-death-") || name.hasPrefix("x-last-death-")
    }
}
