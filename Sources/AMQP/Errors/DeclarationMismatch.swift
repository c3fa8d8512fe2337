/// How a queue or exchange that exists differs from a declaration: RabbitMQ's refusal, taken apart.
///
/// RabbitMQ compares a declaration with what exists and reports the first difference only. ``QueueDeclaration/adopting(_:)`` and
/// ``ExchangeDeclaration/adopting(_:)`` take the value that exists into the declaration, so that declaring again shows the next one.
public struct DeclarationMismatch: Sendable, Hashable {
    /// What exists and differs.
    public enum Object: String, Sendable, Hashable {
        /// A queue.
        case queue
        /// An exchange.
        case exchange
    }

    /// Whether it is a queue or an exchange.
    public var object: Object
    /// Its name.
    public var name: String
    /// The virtual host it is in.
    public var virtualHost: String
    /// What differs: an argument such as `x-message-ttl`, or `durable`, `auto_delete`, `internal` or `type`.
    public var argument: String
    /// What the declaration said; `nil` if it said nothing.
    public var received: Value?
    /// What exists; `nil` if it has no such argument.
    public var current: Value?
    /// Whether the broker cut its text, at 255 bytes, so that ``received`` or ``current`` are not all of it.
    public var isCut: Bool

    /// A value as the broker's text shows it.
    public struct Value: Sendable, Hashable {
        /// The value's text.
        public var text: String
        /// The broker's name of the value's type, where the text has it.
        public var type: String?

        /// A value by its text and the broker's name of its type.
        public init(text: String, type: String? = nil) {
            self.text = text
            self.type = type
        }
    }
}

extension DeclarationMismatch.Value {
    /// The value with its type, where the broker's text tells the type and the type can be read back.
    public var fieldValue: FieldValue? {
        switch type {
        case "longstr": .string(text)
        case "bool": Bool(text).map(FieldValue.bool)
        case "byte": Int8(text).map(FieldValue.int8)
        case "unsignedbyte": UInt8(text).map(FieldValue.uint8)
        case "short": Int16(text).map(FieldValue.int16)
        case "unsignedshort": UInt16(text).map(FieldValue.uint16)
        case "signedint": Int32(text).map(FieldValue.int32)
        case "unsignedint": UInt32(text).map(FieldValue.uint32)
        case "long": Int64(text).map(FieldValue.int64)
        case "float": Float(text).map(FieldValue.float)
        case "double": Double(text).map(FieldValue.double)
        case "timestamp": UInt64(text).map(FieldValue.timestamp)
        case "void": .void
        default: nil
        }
    }

    /// The value with its type; where the text doesn't tell, of the kind of `sample`, which the broker compared it with.
    public func fieldValue(like sample: FieldValue?) -> FieldValue? {
        if let fieldValue { return fieldValue }
        guard type == nil else { return nil }
        return switch sample {
        case .string: .string(text)
        case .bool: Bool(text).map(FieldValue.bool)
        case .some(let sample) where sample.integerValue != nil: Int64(text).map(FieldValue.int64)
        default: nil
        }
    }
}
