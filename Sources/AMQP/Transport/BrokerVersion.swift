/// A broker's version: three numbers that can be compared.
public struct BrokerVersion: Sendable, Hashable, Comparable, CustomStringConvertible {
    /// The first number.
    public var major: Int
    /// The second number.
    public var minor: Int
    /// The third number.
    public var patch: Int

    /// A version by its numbers.
    public init(_ major: Int, _ minor: Int, _ patch: Int = 0) {
        self.major = major
        self.minor = minor
        self.patch = patch
    }

    /// A version from text such as `3.10.8` or `4.1.0-rc.1`; `nil` if it doesn't begin with a number.
    public init?(_ text: String) {
        let words = text.split(omittingEmptySubsequences: false) { $0 == "." || $0 == "-" || $0 == "+" }
        let numbers = words.prefix(3).map { Int($0) }
        guard let first = numbers.first, let major = first else { return nil }
        self.init(major, numbers.count > 1 ? numbers[1] ?? 0 : 0, numbers.count > 2 ? numbers[2] ?? 0 : 0)
    }

    /// The three numbers with dots between them.
    public var description: String { "\(major).\(minor).\(patch)" }

    /// Compares number by number.
    public static func < (one: BrokerVersion, other: BrokerVersion) -> Bool {
        (one.major, one.minor, one.patch) < (other.major, other.minor, other.patch)
    }
}
