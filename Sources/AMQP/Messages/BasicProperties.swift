/// The properties of a message: AMQP's content header for class `basic`.
///
/// All are optional on the wire. The broker interprets ``deliveryMode``, ``priority``, ``expiration`` and ``userID``;
/// the rest is for the applications. Short strings hold at most 255 bytes of UTF-8.
public struct BasicProperties: Sendable, Hashable {
    /// The properties, in an array of one: copies share it until one of them changes.
    ///
    /// A message passes through many hands on its way; thirteen values would be copied each time.
    private var storage: [Values]

    /// The properties by themselves.
    package struct Values: Sendable, Hashable {
        package var contentType: String?
        package var contentEncoding: String?
        package var headers: FieldTable?
        package var deliveryMode: DeliveryMode?
        package var priority: UInt8?
        package var correlationID: String?
        package var replyTo: String?
        package var expiration: String?
        package var messageID: String?
        package var timestamp: UInt64?
        package var type: String?
        package var userID: String?
        package var appID: String?

        package init() {}
    }

    private static let persistent: [Values] = {
        var values = Values()
        values.deliveryMode = .persistent
        return [values]
    }()

    /// Creates properties of which only ``deliveryMode`` is set.
    public init() { storage = Self.persistent }

    /// Creates properties with these values.
    package init(_ values: Values) { storage = [values] }

    /// The body's MIME type, such as `application/json`.
    public var contentType: String? {
        get { storage[0].contentType }
        set { storage[0].contentType = newValue }
    }
    /// The body's encoding, such as `utf-8`.
    public var contentEncoding: String? {
        get { storage[0].contentEncoding }
        set { storage[0].contentEncoding = newValue }
    }
    /// Named values that the application defines.
    public var headers: FieldTable? {
        get { storage[0].headers }
        set { storage[0].headers = newValue }
    }
    /// Whether the message survives a restart of the broker: ``DeliveryMode/persistent`` unless set otherwise.
    ///
    /// In a received message it is `nil` if the sender set none, which the broker takes as transient.
    public var deliveryMode: DeliveryMode? {
        get { storage[0].deliveryMode }
        set { storage[0].deliveryMode = newValue }
    }
    /// The message's priority, in queues that support priorities.
    public var priority: UInt8? {
        get { storage[0].priority }
        set { storage[0].priority = newValue }
    }
    /// The id of the request that the message answers.
    public var correlationID: String? {
        get { storage[0].correlationID }
        set { storage[0].correlationID = newValue }
    }
    /// The address for an answer, usually the name of a queue.
    public var replyTo: String? {
        get { storage[0].replyTo }
        set { storage[0].replyTo = newValue }
    }
    /// The message's time to live in a queue: a decimal number of milliseconds, as text.
    public var expiration: String? {
        get { storage[0].expiration }
        set { storage[0].expiration = newValue }
    }
    /// The message's id.
    public var messageID: String? {
        get { storage[0].messageID }
        set { storage[0].messageID = newValue }
    }
    /// The time at which the message was created, in whole seconds since 1970.
    public var timestamp: UInt64? {
        get { storage[0].timestamp }
        set { storage[0].timestamp = newValue }
    }
    /// The type of the message, as the application names it.
    public var type: String? {
        get { storage[0].type }
        set { storage[0].type = newValue }
    }
    /// The publishing user; the broker refuses any name other than the connection's user.
    public var userID: String? {
        get { storage[0].userID }
        set { storage[0].userID = newValue }
    }
    /// The publishing application.
    public var appID: String? {
        get { storage[0].appID }
        set { storage[0].appID = newValue }
    }
}

/// The durability of a message: whether it survives a restart of the broker.
public struct DeliveryMode: RawRepresentable, Sendable, Hashable {
    /// The number on the wire.
    public var rawValue: UInt8

    /// A mode by its number on the wire.
    public init(rawValue: UInt8) { self.rawValue = rawValue }

    /// The message may be lost when the broker restarts.
    public static let transient = DeliveryMode(rawValue: 1)
    /// The message survives a restart of the broker if its queue is durable.
    public static let persistent = DeliveryMode(rawValue: 2)
}

extension BasicProperties {
    /// Throws if AMQP can't encode the properties, or if RabbitMQ would close the connection on receiving them.
    ///
    /// - Throws: `invalidArgument`, naming the property or header, what is wrong with it, and what to do.
    public func validate() throws(AMQPError) {
        try validate(contentType, "content-type")
        try validate(contentEncoding, "content-encoding")
        try validate(correlationID, "correlation-id")
        try validate(replyTo, "reply-to")
        try validate(expiration, "expiration")
        try validate(messageID, "message-id")
        try validate(type, "type")
        try validate(userID, "user-id")
        try validate(appID, "app-id")
        if let expiration { try Self.validateExpiration(expiration) }
        try headers?.validate("A message's properties", "headers")
    }

    private func validate(_ text: String?, _ property: String) throws(AMQPError) {
        guard let text else { return }
        try ShortString.validate(text, "The message property \(property)")
    }

    private static func validateExpiration(_ text: String) throws(AMQPError) {
        let isDigits = text.utf8.allSatisfy { UInt8(ascii: "0")...UInt8(ascii: "9") ~= $0 }
        guard isDigits, let milliseconds = Int64(text), milliseconds <= 315_360_000_000 else {
            throw AMQPError(
                .invalidArgument,
                "The message property expiration is '\(text)'; RabbitMQ accepts a whole number of milliseconds from 0 to "
                    + "315360000000 (ten years), as decimal digits."
            )
        }
    }
}

extension BasicProperties {
    /// Encodes the properties as a content header: two bytes of flags, then the values that are set.
    ///
    /// - Throws: `invalidArgument`, naming the property, if a text is longer than 255 bytes or the headers exceed
    ///   `limits`.
    package func encoded(limits: WireLimits = .standard) throws(AMQPError) -> [UInt8] {
        var writer = WireWriter(capacity: 160 + (headers?.wireSize ?? 0))
        try writer.write(self, limits: limits)
        return writer.bytes
    }

    /// Decodes properties from a content header that fills `bytes` to the end.
    ///
    /// - Throws: `malformed`, naming the property or header, if the bytes don't follow AMQP's format.
    package init(decoding bytes: [UInt8], limits: WireLimits = .standard) throws(AMQPError) {
        var reader = WireReader(bytes)
        self = try reader.readProperties(limits: limits)
        try reader.expectEnd(after: "A content header")
    }
}

extension WireWriter {
    /// Writes the properties of a message.
    ///
    /// - Throws: `invalidArgument`, naming the property, if a text is longer than 255 bytes or the headers exceed
    ///   `limits`; nothing is written then.
    package mutating func write(_ properties: BasicProperties, limits: WireLimits = .standard) throws(AMQPError) {
        let start = bytes.count
        do throws(WireFault) {
            try writeValues(of: properties, limits)
        } catch {
            truncate(to: start)
            throw error.error(.invalidArgument, "A message's properties can't be sent")
        }
    }

    private mutating func writeValues(of properties: BasicProperties, _ limits: WireLimits) throws(WireFault) {
        write(PropertyFlags(properties).rawValue)
        try write(short: properties.contentType, "content-type")
        try write(short: properties.contentEncoding, "content-encoding")
        if let headers = properties.headers {
            var room = limits
            do throws(WireFault) { try write(table: headers, &room) } catch { throw error.inside("headers") }
        }
        if let mode = properties.deliveryMode { write(mode.rawValue) }
        if let priority = properties.priority { write(priority) }
        try write(short: properties.correlationID, "correlation-id")
        try write(short: properties.replyTo, "reply-to")
        try write(short: properties.expiration, "expiration")
        try write(short: properties.messageID, "message-id")
        if let timestamp = properties.timestamp { write(timestamp) }
        try write(short: properties.type, "type")
        try write(short: properties.userID, "user-id")
        try write(short: properties.appID, "app-id")
    }

    private mutating func write(short text: String?, _ property: String) throws(WireFault) {
        guard let text else { return }
        do throws(WireFault) { try write(short: text) } catch { throw error.inside(property) }
    }
}

extension WireReader {
    /// Reads the properties of a message, skipping `cluster-id`, which has no meaning.
    ///
    /// - Throws: `malformed`, naming the property or header, if the bytes don't follow AMQP's format.
    package mutating func readProperties(limits: WireLimits = .standard) throws(AMQPError) -> BasicProperties {
        do throws(WireFault) {
            return try properties(limits)
        } catch { throw error.error(.malformed, "A content header") }
    }

    private mutating func properties(_ limits: WireLimits) throws(WireFault) -> BasicProperties {
        let flags = PropertyFlags(rawValue: try number())
        guard flags.isSubset(of: .all) else {
            throw WireFault("has flags \(String(flags.rawValue, radix: 2)), some of which class basic doesn't define.")
        }
        var properties = BasicProperties.Values()
        properties.contentType = try shortString(flags, .contentType, "content-type")
        properties.contentEncoding = try shortString(flags, .contentEncoding, "content-encoding")
        if flags.contains(.headers) {
            var room = limits
            do throws(WireFault) { properties.headers = try table(&room) } catch { throw error.inside("headers") }
        }
        properties.deliveryMode = try octet(flags, .deliveryMode, "delivery-mode").map(DeliveryMode.init(rawValue:))
        properties.priority = try octet(flags, .priority, "priority")
        properties.correlationID = try shortString(flags, .correlationID, "correlation-id")
        properties.replyTo = try shortString(flags, .replyTo, "reply-to")
        properties.expiration = try shortString(flags, .expiration, "expiration")
        properties.messageID = try shortString(flags, .messageID, "message-id")
        if flags.contains(.timestamp) {
            do throws(WireFault) { properties.timestamp = try number() } catch { throw error.inside("timestamp") }
        }
        properties.type = try shortString(flags, .type, "type")
        properties.userID = try shortString(flags, .userID, "user-id")
        properties.appID = try shortString(flags, .appID, "app-id")
        _ = try shortString(flags, .clusterID, "cluster-id")
        return BasicProperties(properties)
    }

    private mutating func shortString(
        _ flags: PropertyFlags,
        _ flag: PropertyFlags,
        _ property: String
    ) throws(WireFault) -> String? {
        guard flags.contains(flag) else { return nil }
        do throws(WireFault) { return try shortString() } catch { throw error.inside(property) }
    }

    private mutating func octet(
        _ flags: PropertyFlags,
        _ flag: PropertyFlags,
        _ property: String
    ) throws(WireFault) -> UInt8? {
        guard flags.contains(flag) else { return nil }
        do throws(WireFault) { return try number() } catch { throw error.inside(property) }
    }
}

/// The properties present in a content header of class `basic`, in the order in which they follow, from the highest bit
/// down.
private struct PropertyFlags: OptionSet {
    let rawValue: UInt16

    static let contentType = PropertyFlags(rawValue: 1 << 15)
    static let contentEncoding = PropertyFlags(rawValue: 1 << 14)
    static let headers = PropertyFlags(rawValue: 1 << 13)
    static let deliveryMode = PropertyFlags(rawValue: 1 << 12)
    static let priority = PropertyFlags(rawValue: 1 << 11)
    static let correlationID = PropertyFlags(rawValue: 1 << 10)
    static let replyTo = PropertyFlags(rawValue: 1 << 9)
    static let expiration = PropertyFlags(rawValue: 1 << 8)
    static let messageID = PropertyFlags(rawValue: 1 << 7)
    static let timestamp = PropertyFlags(rawValue: 1 << 6)
    static let type = PropertyFlags(rawValue: 1 << 5)
    static let userID = PropertyFlags(rawValue: 1 << 4)
    static let appID = PropertyFlags(rawValue: 1 << 3)
    static let clusterID = PropertyFlags(rawValue: 1 << 2)

    /// All flags of class `basic`; bit 1 has no meaning, and bit 0 would announce more flags.
    static let all = PropertyFlags(rawValue: 0xFFFC)

    init(rawValue: UInt16) { self.rawValue = rawValue }

    /// The flags of the properties that are set.
    init(_ properties: BasicProperties) {
        var flags: PropertyFlags = []
        if properties.contentType != nil { flags.insert(.contentType) }
        if properties.contentEncoding != nil { flags.insert(.contentEncoding) }
        if properties.headers != nil { flags.insert(.headers) }
        if properties.deliveryMode != nil { flags.insert(.deliveryMode) }
        if properties.priority != nil { flags.insert(.priority) }
        if properties.correlationID != nil { flags.insert(.correlationID) }
        if properties.replyTo != nil { flags.insert(.replyTo) }
        if properties.expiration != nil { flags.insert(.expiration) }
        if properties.messageID != nil { flags.insert(.messageID) }
        if properties.timestamp != nil { flags.insert(.timestamp) }
        if properties.type != nil { flags.insert(.type) }
        if properties.userID != nil { flags.insert(.userID) }
        if properties.appID != nil { flags.insert(.appID) }
        self = flags
    }
}
