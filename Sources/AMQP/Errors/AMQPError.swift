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

extension AMQPError {
    /// The kinds of error.
    ///
    /// More may come, so a `switch` over them needs a `default`.
    public struct Code: Sendable, Hashable, CustomStringConvertible {
        /// The kind's name, as logs show it.
        public let description: String
        let isRetriable: Bool
        let outcomeIsKnown: Bool

        /// A kind of error; other modules add theirs in an extension, as `EmbeddedStore` does.
        package init(_ name: String, retriable: Bool = false, outcomeIsKnown: Bool = true) {
            description = name
            isRetriable = retriable
            self.outcomeIsKnown = outcomeIsKnown
        }

        /// The broker's URL can't be read.
        public static let invalidURL = Code("invalidURL")
        /// An argument can't be sent, such as a name that is too long.
        public static let invalidArgument = Code("invalidArgument")
        /// Nothing answers at the broker's address, or what answers doesn't speak AMQP.
        public static let connectionFailed = Code("connectionFailed", retriable: true)
        /// The TLS handshake failed.
        public static let tlsFailed = Code("tlsFailed")
        /// The broker refused user and password.
        public static let authenticationFailed = Code("authenticationFailed")
        /// The virtual host doesn't exist, or the user may not use it.
        public static let virtualHostRefused = Code("virtualHostRefused")
        /// A queue or exchange exists with other arguments than those asked for.
        public static let declarationMismatch = Code("declarationMismatch")
        /// No such queue or exchange.
        public static let notFound = Code("notFound")
        /// The user lacks the permission.
        public static let accessRefused = Code("accessRefused")
        /// Another connection has the queue to itself.
        public static let resourceLocked = Code("resourceLocked", retriable: true)
        /// The broker can't do what was asked, as the reply says.
        public static let refused = Code("refused")
        /// The message is larger than the broker takes.
        public static let messageTooLarge = Code("messageTooLarge")
        /// No queue is bound for the message: it was returned.
        public static let unroutable = Code("unroutable")
        /// The broker refused responsibility for the message, as a full queue with `reject-publish` does.
        public static let nacked = Code("nacked", retriable: true)
        /// The broker has blocked publishers (memory or disk alarm), and did so until the deadline.
        public static let blocked = Code("blocked", retriable: true)
        /// The deadline passed before the message was sent.
        public static let deadlineExceeded = Code("deadlineExceeded", retriable: true)
        /// The deadline passed after the message was sent and before the broker answered.
        public static let confirmTimedOut = Code("confirmTimedOut", retriable: true, outcomeIsKnown: false)
        /// The connection is closed, and nothing was sent.
        public static let connectionClosed = Code("connectionClosed", retriable: true)
        /// The connection was lost after the message was sent and before the broker answered.
        public static let connectionLost = Code("connectionLost", retriable: true, outcomeIsKnown: false)
        /// The channel is closed, and nothing was sent.
        public static let channelClosed = Code("channelClosed", retriable: true)
        /// The channel was lost after the message was sent and before the broker answered.
        public static let channelLost = Code("channelLost", retriable: true, outcomeIsKnown: false)
        /// The broker cancelled a consumer, as it does when the queue is deleted.
        public static let consumerCancelled = Code("consumerCancelled", retriable: true)
        /// The calling task was cancelled; a message may have been sent.
        public static let cancelled = Code("cancelled", outcomeIsKnown: false)
        /// Bytes are not what AMQP says they should be.
        public static let malformed = Code("malformed")
    }
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
