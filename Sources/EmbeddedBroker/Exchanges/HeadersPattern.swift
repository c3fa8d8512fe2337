import AMQP

/// What a binding to a headers exchange asks of a message's headers.
struct HeadersPattern: Sendable {
    /// The values of `x-match`.
    enum Mode: String, Sendable {
        case all
        case any
        /// As `all` and `any`, but names that begin with `x-` count too.
        case allWithX = "all-with-x"
        case anyWithX = "any-with-x"
    }

    private let demandsAll: Bool
    private let wanted: [(name: String, value: FieldValue)]

    init(_ arguments: FieldTable) {
        let mode = arguments["x-match"]?.stringValue.flatMap(Mode.init) ?? .all
        let countsX = mode == .allWithX || mode == .anyWithX
        demandsAll = mode == .all || mode == .allWithX
        wanted = arguments.filter { $0.name != "x-match" && (countsX || !$0.name.hasPrefix("x-")) }
    }

    func matches(_ headers: FieldTable?) -> Bool {
        let isMet = { (name: String, value: FieldValue) in
            guard let present = headers?[name] else { return false }
            // A void value asks only that the header is there.
            return value == .void || present.isAlike(value)
        }
        return demandsAll ? wanted.allSatisfy(isMet) : wanted.contains(where: isMet)
    }
}

extension FieldValue {
    /// Whether two values are one to the broker, which takes integers of all widths as alike.
    func isAlike(_ other: FieldValue) -> Bool {
        if case .timestamp = self { return self == other }
        if case .timestamp = other { return self == other }
        if let number = integerValue, let otherNumber = other.integerValue { return number == otherNumber }
        return switch (self, other) {
        case (.float(let one), .double(let two)): Double(one) == two
        case (.double(let one), .float(let two)): one == Double(two)
        default: self == other
        }
    }
}
