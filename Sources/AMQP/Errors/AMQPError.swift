/// What went wrong between this process and the broker.
///
/// ``message`` is for people: what happened, to which queue or exchange, and what to do. It holds no payload and no password.
public struct AMQPError: Error, Sendable, CustomStringConvertible {
    /// What kind of thing went wrong.
    public var code: Code
    /// What happened, to what, and what to do about it.
    public var message: String
    /// What the broker said, where it said something.
    public var reply: BrokerReply?
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
        reply: BrokerReply? = nil,
        underlying: (any Error)? = nil,
        file: String = #fileID,
        line: Int = #line
    ) {
        self.code = code
        self.message = message
        self.reply = reply
        self.underlying = underlying
        self.file = file
        self.line = line
    }

    /// True if the same call may succeed later without a change to program or configuration.
    public var isRetriable: Bool { code.isRetriable }

    /// True if it is certain that the broker did not take what was published; false if it may have.
    ///
    /// Publishing again after an error whose outcome is unknown can make a duplicate; not doing so can lose the message.
    public var outcomeIsKnown: Bool { code.outcomeIsKnown }

    /// Code and message, and the place that made the error.
    public var description: String { "\(code): \(message) [\(file):\(line)]" }
}

/// The words with which a broker refused something: AMQP's reply code and text.
public struct BrokerReply: Sendable, Hashable {
    /// AMQP's reply code, such as 404 or 406.
    public var code: UInt16
    /// The broker's own text.
    public var text: String

    /// A reply as it came from the broker.
    public init(code: UInt16, text: String) {
        self.code = code
        self.text = text
    }
}
