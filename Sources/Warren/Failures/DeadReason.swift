/// Why a job is in the dead queue.
///
/// The text is stable: it is kept in the dead letter, and filters use it.
public struct DeadReason: RawRepresentable, Sendable, Hashable, Codable, CustomStringConvertible {
    /// The reason as it is kept in dead letters.
    public let rawValue: String

    /// A reason by its text.
    public init(rawValue: String) { self.rawValue = rawValue }

    /// The reason's text.
    public var description: String { rawValue }

    /// The last attempt that the policy allows failed.
    public static let attemptsExhausted = DeadReason(rawValue: "attempts-exhausted")
    /// The handler, or the policy, said that the job can't succeed.
    public static let permanent = DeadReason(rawValue: "permanent")
    /// The job expired before it was started, or before it could be tried again.
    public static let expired = DeadReason(rawValue: "expired")
    /// The job took down every worker that started it: the history says which, and when.
    public static let crashed = DeadReason(rawValue: "crashed")
    /// The message can't be read; the reason is the code of the ``EnvelopeError``.
    public static func undecodable(_ error: EnvelopeError) -> DeadReason { DeadReason(rawValue: error.code.rawValue) }
}
