extension BasicProperties {
    /// The properties as the content header holds them: flags in two bytes, then the values that are set.
    ///
    /// - Throws: `invalidArgument`, naming the property, if a text is longer than 255 bytes or the headers exceed `limits`.
    public func encoded(limits: WireLimits = .standard) throws(AMQPError) -> [UInt8] {
        var writer = WireWriter(capacity: 128 + 32 * (headers?.count ?? 0))
        try writer.write(self, limits: limits)
        return writer.bytes
    }

    /// The properties that these bytes are, with nothing after them.
    ///
    /// - Throws: `malformed`, naming the property or header, if the bytes are not what AMQP says.
    public init(decoding bytes: [UInt8], limits: WireLimits = .standard) throws(AMQPError) {
        var reader = WireReader(bytes)
        self = try reader.readProperties(limits: limits)
        try reader.expectEnd(after: "A content header")
    }
}

extension WireWriter {
    /// Writes the properties of a message.
    ///
    /// - Throws: `invalidArgument`, naming the property, if a text is longer than 255 bytes or the headers exceed `limits`; nothing is
    ///   written then.
    public mutating func write(_ properties: BasicProperties, limits: WireLimits = .standard) throws(AMQPError) {
        let start = bytes.count
        do throws(WireFault) {
            try writeValues(of: properties, limits)
        } catch {
            takeBack(to: start)
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
    /// Reads the properties of a message, and passes over `cluster-id`, which has no meaning.
    ///
    /// - Throws: `malformed`, naming the property or header, if the bytes are not what AMQP says.
    public mutating func readProperties(limits: WireLimits = .standard) throws(AMQPError) -> BasicProperties {
        do throws(WireFault) {
            return try properties(limits)
        } catch { throw error.error(.malformed, "A content header") }
    }

    private mutating func properties(_ limits: WireLimits) throws(WireFault) -> BasicProperties {
        let flags = PropertyFlags(rawValue: try number())
        guard flags.isSubset(of: .all) else {
            throw WireFault("has flags \(String(flags.rawValue, radix: 2)), of which class basic doesn't know all.")
        }
        var properties = BasicProperties()
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
        return properties
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
