/// Which properties a content header of class `basic` holds, in the order they come, from the highest bit down.
struct PropertyFlags: OptionSet {
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

    /// All that class `basic` has; bit 1 has no meaning, and bit 0 would announce more flags.
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
