extension DeclarationMismatch {
    /// Takes RabbitMQ's refusal apart; `nil` if the reply is about something else.
    ///
    /// The texts are those of `assert_args_equivalence/4` and `assert_field_equivalence/4` in `rabbit_misc.erl`, alike from 3.10 to 4.3
    /// (the older "the value … of type …" on both sides is read too):
    ///
    /// ```
    /// PRECONDITION_FAILED - inequivalent arg 'x-max-length' for queue 'q' in vhost '/': received '10' but current is '20'
    /// PRECONDITION_FAILED - inequivalent arg 'x-expires' for queue 'q' in vhost '/': received the value '10' of type 'long' but current is none
    /// ```
    ///
    /// Names and values may hold quotes: what stands between them is taken where both sides of it make sense.
    public init?(reply: BrokerReply) {
        self.init(text: reply.text)
    }

    /// Takes the text of RabbitMQ's refusal apart; `nil` if it is about something else.
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
    private static let typeSeparator = "' of type '"

    /// Whether this is `none`, `'2000'` or `the value '2000' of type 'long'`, to its end.
    fileprivate static func isWhole(_ text: Substring.UTF8View) -> Bool {
        let none = "none".utf8
        return text.elementsEqual(none)
            || text.count > 1 && text.last == UInt8(ascii: "'") && (text.starts(with: "'".utf8) || isTyped(text))
    }

    private static func isTyped(_ text: Substring.UTF8View) -> Bool {
        text.starts(with: "the value '".utf8) && text.splitAtLast(typeSeparator) != nil
    }

    /// Reads one side of the comparison; of a text that was cut, what there is.
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

    /// The text without the quotes around it; the broker puts two pairs around the name of an exchange type such as `x-random`.
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
    /// What is before and after the first `separator` on both sides of which `condition` is true.
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
