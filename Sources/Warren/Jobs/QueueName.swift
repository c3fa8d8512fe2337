/// The name of a job queue, such as `emails` or `eu.orders`.
///
/// A name is 1 to 199 bytes of ASCII letters, digits, `-`, `_`, `:` and `.`; dots separate words, none of which is
/// empty. The delay ladder leaves 199 of a routing key's 255 bytes. Names that end in `.dead`, `.parked`,
/// `.quarantine`, `.starts`, `.high` or `.low`, or begin with `amq.` or `warren.delay.` are reserved: for a queue's or
/// an application's companions, the broker, and the ladder.
public struct QueueName: RawRepresentable, Sendable, Hashable, Comparable, Codable, CustomStringConvertible {
    /// The longest name, in bytes.
    public static let maximumLength = 199

    /// The name.
    public var rawValue: String

    /// Creates a name from text without validating it: ``validate()`` is called where the name is first used.
    public init(rawValue: String) { self.rawValue = rawValue }

    /// Creates a name from text without validating it.
    public init(_ name: String) { rawValue = name }

    /// The dead queue: the jobs that can't succeed.
    public var dead: String { rawValue + ".dead" }

    /// The parked queue (a *parking-lot queue*): the jobs whose names no running worker knows.
    public var parked: String { rawValue + ".parked" }

    /// The quarantine: the jobs that may have crashed a worker, of which each worker runs one at a time.
    public var quarantine: String { rawValue + ".quarantine" }

    /// The name.
    public var description: String { rawValue }

    /// Orders names as text.
    public static func < (one: QueueName, other: QueueName) -> Bool { one.rawValue < other.rawValue }

    /// Checks the name against the rules.
    ///
    /// - Throws: ``WarrenError`` with `invalidQueueName`, saying which rule the name breaks.
    public func validate() throws(WarrenError) {
        if let problem = QueueName.problem(in: rawValue) {
            throw WarrenError(.invalidQueueName, "The queue name '\(rawValue.truncated(toBytes: 80))' \(problem).")
        }
    }

    private static let reservedSuffixes = [".dead", ".parked", ".quarantine", ".starts", ".high", ".low"]
    private static let reservedPrefixes = ["amq.", "warren.delay."]

    private static func problem(in name: String) -> String? {
        if name.isEmpty { return "is empty" }
        if name.utf8.count > maximumLength { return "is longer than \(maximumLength) bytes" }
        if !name.utf8.allSatisfy(isAllowed) {
            return "may hold only ASCII letters, digits, '-', '_', ':' and '.'"
        }
        if name.split(separator: ".", omittingEmptySubsequences: false).contains("") {
            return "has an empty word: no dot may stand at its ends or beside another"
        }
        if let suffix = reservedSuffixes.first(where: name.hasSuffix) {
            return "ends in '\(suffix)', which is reserved for the companions of a queue"
        }
        if let prefix = reservedPrefixes.first(where: name.hasPrefix) {
            return "begins with '\(prefix)', which is reserved"
        }
        return nil
    }

    static func isAllowed(_ byte: UInt8) -> Bool {
        switch byte {
        case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
            UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "-"), UInt8(ascii: "_"), UInt8(ascii: ":"),
            UInt8(ascii: "."):
            true
        default: false
        }
    }
}

extension QueueName: ExpressibleByStringLiteral {
    /// Creates a name from a literal without validating it.
    public init(stringLiteral value: String) { rawValue = value }
}
