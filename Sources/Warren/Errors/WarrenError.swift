public import AMQP

/// What went wrong in the framework: a job that can't be sent, a worker that can't be set up, a broker that didn't take something.
///
/// ``message`` is for people: what happened, to which queue or job, and what to do. It holds no payload.
public struct WarrenError: Error, Sendable, CustomStringConvertible {
    /// What kind of thing went wrong.
    public var code: Code
    /// What happened, to what, and what to do about it.
    public var message: String
    /// The error behind this one, if there is one.
    public var underlying: (any Error)?
    /// The source file that made the error.
    public var file: String
    /// The line in that file.
    public var line: Int

    /// Makes an error; file and line are the caller's.
    public init(
        _ code: Code,
        _ message: String,
        underlying: (any Error)? = nil,
        file: String = #fileID,
        line: Int = #line
    ) {
        self.code = code
        self.message = message
        self.underlying = underlying
        self.file = file
        self.line = line
    }

    /// What the broker or the way to it had to do with this error, if it had.
    public var broker: AMQPError? { underlying as? AMQPError }

    /// True if the same call may succeed later without a change to program or configuration.
    public var isRetriable: Bool { broker?.isRetriable ?? false }

    /// True if it is certain that the broker did not take what was published; false if it may have.
    ///
    /// Enqueueing again after an error whose outcome is unknown can run a job twice; with the same `id`, handlers can notice.
    public var outcomeIsKnown: Bool { code != .spoolTimedOut && broker?.outcomeIsKnown ?? true }

    /// Code and message, the error behind it, and the place that made the error.
    public var description: String {
        let cause = underlying.map { ": \($0)" } ?? ""
        return "\(code): \(message)\(cause) [\(file):\(line)]"
    }
}
