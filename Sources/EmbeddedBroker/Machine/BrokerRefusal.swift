import AMQP

/// A refusal of a request, with RabbitMQ's code and text.
///
/// Source of the texts: RabbitMQ 3.10.8, as tried.
struct BrokerRefusal: Error, Equatable {
    var reply: BrokerReply

    init(_ code: UInt16, _ text: String) { reply = BrokerReply(code: code, text: text) }

    static func noQueue(_ name: String) -> BrokerRefusal {
        BrokerRefusal(404, "NOT_FOUND - no queue '\(name)' in vhost '/'")
    }

    static func noExchange(_ name: String) -> BrokerRefusal {
        BrokerRefusal(404, "NOT_FOUND - no exchange '\(name)' in vhost '/'")
    }

    static func locked(_ name: String) -> BrokerRefusal {
        BrokerRefusal(
            405,
            "RESOURCE_LOCKED - cannot obtain exclusive access to locked queue '\(name)' in vhost '/'. It could be originally "
                + "declared on another connection or the exclusive property value does not match that of the original declaration."
        )
    }

    static func reserved(_ what: String, _ name: String) -> BrokerRefusal {
        BrokerRefusal(403, "ACCESS_REFUSED - \(what) name '\(name)' contains reserved prefix 'amq.*'")
    }

    static let defaultExchange = BrokerRefusal(403, "ACCESS_REFUSED - operation not permitted on the default exchange")

    static func precondition(_ text: String) -> BrokerRefusal { BrokerRefusal(406, "PRECONDITION_FAILED - \(text)") }

    static func invalidArgument(_ name: String, ofQueue queue: String, _ why: String) -> BrokerRefusal {
        precondition("invalid arg '\(name)' for queue '\(queue)' in vhost '/': \(why)")
    }

    static func inequivalent(
        _ argument: String,
        _ object: DeclarationMismatch.Object,
        _ name: String,
        received: String,
        current: String
    ) -> BrokerRefusal {
        precondition(
            "inequivalent arg '\(argument)' for \(object.rawValue) '\(name)' in vhost '/': received \(received) but current is \(current)"
        )
    }

    static func notImplemented(_ text: String) -> BrokerRefusal { BrokerRefusal(540, "NOT_IMPLEMENTED - \(text)") }
}

/// An argument as declared again (`received`) and as the queue or exchange has it (`current`).
struct ArgumentComparison {
    var received: FieldValue?
    var current: FieldValue?

    /// Throws RabbitMQ's refusal if the two values aren't equivalent.
    func check(_ argument: String, _ object: DeclarationMismatch.Object, _ name: String) throws(BrokerRefusal) {
        switch (received, current) {
        case (nil, nil): return
        case (let received?, let current?):
            if received.isEquivalent(to: current) { return }
            throw .inequivalent(
                argument,
                object,
                name,
                received: "'\(received.brokerText)'",
                current: "'\(current.brokerText)'"
            )
        default:
            throw .inequivalent(argument, object, name, received: typed(received), current: typed(current))
        }
    }

    private func typed(_ value: FieldValue?) -> String {
        value.map { "the value '\($0.brokerText)' of type '\($0.typeName)'" } ?? "none"
    }
}

extension FieldValue {
    /// Returns whether the broker treats two values as equal: integers of all widths, and floating-point numbers of
    /// both.
    func isEquivalent(to other: FieldValue) -> Bool {
        if case .timestamp = self { return self == other }
        if case .timestamp = other { return self == other }
        if let number = integerValue, let otherNumber = other.integerValue { return number == otherNumber }
        return switch (self, other) {
        case (.float(let one), .double(let two)): Double(one) == two
        case (.double(let one), .float(let two)): one == Double(two)
        default: self == other
        }
    }

    /// The value as RabbitMQ's texts show it.
    var brokerText: String {
        switch self {
        case .string(let text): text
        case .bool(let truth): "\(truth)"
        case .float(let number): "\(number)"
        case .double(let number): "\(number)"
        default: integerValue.map { "\($0)" } ?? typeName
        }
    }

    /// RabbitMQ's name for the value's type.
    var typeName: String {
        switch self {
        case .bool: "bool"
        case .int8: "byte"
        case .uint8: "unsignedbyte"
        case .int16: "short"
        case .uint16: "unsignedshort"
        case .int32: "signedint"
        case .uint32: "unsignedint"
        case .int64: "long"
        case .float: "float"
        case .double: "double"
        case .decimal: "decimal"
        case .string: "longstr"
        case .bytes: "binary"
        case .timestamp: "timestamp"
        case .array: "array"
        case .table: "table"
        case .void: "void"
        }
    }
}
