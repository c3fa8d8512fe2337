/// The properties of a message: AMQP's content header for class `basic`.
///
/// All are optional on the wire. The broker interprets ``deliveryMode``, ``priority``, ``expiration`` and ``userID``; the rest is
/// for the applications. Short strings hold at most 255 bytes of UTF-8.
public struct BasicProperties: Sendable, Hashable {
    /// The body's MIME type, such as `application/json`.
    public var contentType: String?
    /// The body's encoding, such as `utf-8`.
    public var contentEncoding: String?
    /// Named values of the application's own.
    public var headers: FieldTable?
    /// Whether the message survives a restart of the broker.
    public var deliveryMode: DeliveryMode?
    /// The message's priority, for a queue that has them.
    public var priority: UInt8?
    /// Which request a message answers.
    public var correlationID: String?
    /// Where an answer should go.
    public var replyTo: String?
    /// The message's time to live in a queue: a decimal number of milliseconds, as text.
    public var expiration: String?
    /// The message's own id.
    public var messageID: String?
    /// When the message was made: whole seconds since 1970.
    public var timestamp: UInt64?
    /// The kind of message.
    public var type: String?
    /// The user that publishes; the broker refuses any but the connection's own.
    public var userID: String?
    /// The application that publishes.
    public var appID: String?

    /// Properties of which none is set.
    public init() {}
}

/// Whether a message survives a restart of the broker.
public struct DeliveryMode: RawRepresentable, Sendable, Hashable {
    /// The number on the wire.
    public var rawValue: UInt8

    /// A mode by its number on the wire.
    public init(rawValue: UInt8) { self.rawValue = rawValue }

    /// The message may be lost when the broker restarts.
    public static let transient = DeliveryMode(rawValue: 1)
    /// A durable queue keeps the message over a restart.
    public static let persistent = DeliveryMode(rawValue: 2)
}
