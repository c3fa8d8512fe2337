public import AMQP

#if canImport(FoundationEssentials)
public import FoundationEssentials
#else
public import Foundation
#endif

/// A job's message in Celery's protocol v2: headers that say what and when, and a body `[args, kwargs, embed]`.
///
/// An envelope keeps the message as it is. What decides about the job is read at once; everything else when it is asked for, and the
/// body when the payload is.
public struct Envelope: Sendable {
    /// The job's id, the same over all attempts.
    public let id: String
    /// The job's name.
    public let name: String
    /// How many attempts were made before.
    public let retries: Int
    /// When the job is due; `nil` for at once.
    public let eta: Date?
    /// After when the job is not to be started; `nil` for never.
    public let expires: Date?
    /// How long an attempt may take, as far as the message says; what it doesn't, the job's type does.
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

    /// Which attempt this message asks for, from 1.
    public var attempt: Int { retries + 1 }

    /// All headers.
    public var headers: FieldTable { message.properties.headers ?? FieldTable() }

    /// When the job was first enqueued, if a Warren client did it.
    public var enqueuedAt: Date? {
        guard let value = message.properties.headers?[EnvelopeHeader.enqueuedAt] else { return nil }
        if case .int64(let microseconds) = value { return WireTime.date(microseconds: microseconds) }
        return WireTime.date(value)
    }

    /// How often the broker delivered this message before; `nil` if it doesn't say.
    ///
    /// Quorum queues do.
    public var deliveryCount: Int? {
        message.properties.headers?[EnvelopeHeader.deliveryCount]?.integerValue.map { Int(clamping: $0) }
    }

    /// True if the job is not to be started any more.
    public func isExpired(at now: Date) -> Bool {
        guard let expires else { return false }
        return now >= expires
    }
}
