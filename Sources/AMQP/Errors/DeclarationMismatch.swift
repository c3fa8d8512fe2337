/// The difference between an existing queue or exchange and a declaration, parsed from RabbitMQ's refusal.
///
/// RabbitMQ compares a declaration with the existing object and reports only the first difference.
/// ``QueueDeclaration/adopting(_:)`` and ``ExchangeDeclaration/adopting(_:)`` put the existing value into the
/// declaration, so that declaring it again shows the next difference.
public struct DeclarationMismatch: Sendable, Hashable {
    /// The kind of object that differs.
    public enum Object: String, Sendable, Hashable {
        /// A queue.
        case queue
        /// An exchange.
        case exchange
    }

    /// The object's kind: a queue or an exchange.
    public var object: Object
    /// The object's name.
    public var name: String
    /// The object's virtual host.
    public var virtualHost: String
    /// The argument that differs, such as `x-message-ttl`, or the property: `durable`, `auto_delete`, `internal` or
    /// `type`.
    public var argument: String
    /// The declaration's value; `nil` if it sets none.
    public var received: Value?
    /// The existing value; `nil` if the object has no such argument.
    public var current: Value?
    /// True if the broker cut its text at 255 bytes, so that ``received`` or ``current`` may be incomplete.
    public var isCut: Bool

    /// A value as the broker's text shows it.
    public struct Value: Sendable, Hashable {
        /// The value's text.
        public var text: String
        /// The broker's name for the value's type, if the text has it.
        public var type: String?

        /// A value by its text and the broker's name of its type.
        public init(text: String, type: String? = nil) {
            self.text = text
            self.type = type
        }
    }
}

extension DeclarationMismatch: CustomStringConvertible {
    /// The difference and the advice, in two or three sentences for people.
    public var description: String { "\(difference) \(advice)" }

    /// The difference, in one sentence.
    public var difference: String {
        let place = virtualHost.isEmpty ? "" : " in virtual host '\(virtualHost)'"
        let what = "\(object.rawValue == "queue" ? "Queue" : "Exchange") '\(name)'\(place)"
        let has = current.map { "has \(argument) \($0.shown(beside: received))" } ?? "has no \(argument)"
        let asked = received.map { "the declaration says \($0.shown(beside: current))" } ?? "the declaration sets none"
        return isCut && current == nil
            ? "\(what)… exists with another \(argument) than the declaration's."
            : "\(what) exists and \(has), where \(asked)."
    }

    /// The ways to resolve the difference, in one or two sentences.
    public var advice: String {
        let asItIs = "Declare the \(object.rawValue) as it is"
        if let policyKey {
            return "\(asItIs), and give it the declared \(policyKey) by a policy, which can be changed at any time."
        }
        let move =
            object == .queue ? "move its bindings and messages there (a shovel does it)" : "bind its queues there"
        return "\(asItIs); or declare one of another name, \(move) and delete this one; or delete it"
            + "\(object == .queue ? " once it is empty" : "") and declare it again."
    }

    /// The key of a policy that resolves the difference without a new queue or exchange, if there is one.
    ///
    /// If an argument is set already, only a lower limit can come from a policy. Source: `rabbit_policies.erl`,
    /// `rabbit_amqqueue_process.erl` and `rabbit_quorum_queue.erl`, 3.10 to 4.3.
    public var policyKey: String? {
        let key = argument.hasPrefix("x-") ? String(argument.dropFirst(2)) : argument
        let keys = object == .queue ? Self.limits.union(Self.others) : ["alternate-exchange"]
        guard !isCut, received != nil, keys.contains(key) else { return nil }
        if current == nil { return key }
        guard Self.limits.contains(key), let asked = received.flatMap({ Int($0.text) }) else { return nil }
        return current.flatMap { Int($0.text) }.map { asked < $0 } == true ? key : nil
    }

    /// Limits: the lower one of policy and argument applies.
    private static let limits: Set = ["message-ttl", "expires", "max-length", "max-length-bytes", "delivery-limit"]
    /// The argument overrides the policy (for the overflow behaviour, on classic queues).
    private static let others: Set = [
        "overflow", "dead-letter-exchange", "dead-letter-routing-key", "dead-letter-strategy", "max-age",
        "stream-max-segment-size-bytes",
    ]
}

extension DeclarationMismatch {
    /// Parses RabbitMQ's refusal; `nil` if the reply is about something else.
    ///
    /// The texts are those of `assert_args_equivalence/4` and `assert_field_equivalence/4` in `rabbit_misc.erl`, alike
    /// from 3.10 to 4.3 (the older "the value … of type …" on both sides is read too):
    ///
    /// ```
    /// PRECONDITION_FAILED - inequivalent arg 'x-max-length' for queue 'q' in vhost '/': received '10' but current is '20'
    /// PRECONDITION_FAILED - inequivalent arg 'x-expires' for queue 'q' in vhost '/': received the value '10' of type 'long' but current is none
    /// ```
    ///
    /// Names and values may contain quotes, so a separator counts only where the text on both sides of it makes sense.
    public init?(reply: BrokerReply) {
        self.init(text: reply.text)
    }

    /// Parses the text of RabbitMQ's refusal; `nil` if it is about something else.
    public init?(text: String) {
        let isCut = text.hasSuffix("...")
        let whole = isCut ? text.dropLast(3).utf8 : text[...].utf8
        guard let (_, afterPrefix) = whole.split(at: "inequivalent arg '"),
            let (argument, afterArgument) = afterPrefix.split(at: "' for "),
            let (kind, afterKind) = afterArgument.split(at: " '"),
            let object = Object(rawValue: String(Substring(kind)))
        else { return nil }
        let parts = afterKind.split(at: "': received ") { _, values in
            ["none", "'", "the value '"].contains { values.starts(with: $0.utf8) }
        }
        guard let (place, values) = parts else {
            guard isCut else { return nil }
            self.init(object, afterKind, argument, isCut: true)
            return
        }
        let sides = values.split(at: " but current is ") { received, current in
            Value.isWhole(received) && (isCut || Value.isWhole(current))
        }
        self.init(object, place, argument, isCut: isCut)
        received = Value(sides?.before ?? values)
        current = sides.flatMap { Value($0.after) }
    }

    private init(
        _ object: Object,
        _ place: Substring.UTF8View,
        _ argument: Substring.UTF8View,
        isCut: Bool
    ) {
        let (name, virtualHost) = place.splitAtLast("' in vhost '") ?? (place, "".utf8[...])
        self.object = object
        self.name = String(Substring(name))
        self.virtualHost = String(Substring(virtualHost))
        self.argument = String(Substring(argument))
        self.isCut = isCut
    }
}

extension DeclarationMismatch.Value {
    /// The value as a field, if the broker's text names its type and the type can be read back.
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

    /// The value as a field.
    ///
    /// If the text names no type, it gets the type of `sample`, with which the broker compared it.
    func fieldValue(like sample: FieldValue?) -> FieldValue? {
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

extension DeclarationMismatch.Value {
    /// The text in quotes; with its type if both texts are equal, so that only the types differ.
    fileprivate func shown(beside other: DeclarationMismatch.Value?) -> String {
        guard text == other?.text else { return "'\(text)'" }
        return type.map { "'\(text)' of type \($0)" } ?? "'\(text)' of another type"
    }
}

extension DeclarationMismatch.Value {
    private static let typeSeparator = "' of type '"

    /// Returns whether this is all of `none`, `'2000'` or `the value '2000' of type 'long'`.
    fileprivate static func isWhole(_ text: Substring.UTF8View) -> Bool {
        let none = "none".utf8
        return text.elementsEqual(none)
            || text.count > 1 && text.last == UInt8(ascii: "'") && (text.starts(with: "'".utf8) || isTyped(text))
    }

    private static func isTyped(_ text: Substring.UTF8View) -> Bool {
        text.starts(with: "the value '".utf8) && text.splitAtLast(typeSeparator) != nil
    }

    /// Reads one side of the comparison, as far as a cut text has it; `nil` for `none`.
    fileprivate init?(_ text: Substring.UTF8View) {
        if text.elementsEqual("none".utf8) { return nil }
        if Self.isTyped(text),
            let (value, type) = text.dropFirst("the value '".utf8.count).splitAtLast(Self.typeSeparator)
        {
            self.init(text: String(Substring(value)), type: String(Substring(type.dropLast())))
        } else {
            self.init(text: Self.unquoted(text))
        }
    }

    /// The text without the quotes around it; the broker puts two pairs around the name of an exchange type such as
    /// `x-random`.
    private static func unquoted(_ text: Substring.UTF8View) -> String {
        var rest = text
        while rest.count > 1, rest.first == UInt8(ascii: "'"), rest.last == UInt8(ascii: "'") {
            rest = rest.dropFirst().dropLast()
        }
        if rest.first == UInt8(ascii: "'") { rest = rest.dropFirst() }
        return String(Substring(rest))
    }
}

extension Substring.UTF8View {
    /// Splits at the first `separator` for whose two sides `condition` is true.
    fileprivate func split(
        at separator: String,
        where condition: (_ before: Self, _ after: Self) -> Bool = { _, _ in true }
    ) -> (before: Self, after: Self)? {
        for range in ranges(of: separator.utf8) {
            let sides = (before: self[..<range.lowerBound], after: self[range.upperBound...])
            if condition(sides.before, sides.after) { return sides }
        }
        return nil
    }

    fileprivate func splitAtLast(_ separator: String) -> (before: Self, after: Self)? {
        ranges(of: separator.utf8).last.map { (self[..<$0.lowerBound], self[$0.upperBound...]) }
    }
}
