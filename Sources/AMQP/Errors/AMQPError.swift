/// An error between this process and the broker.
///
/// ``message`` is for people: it says what happened, to which queue or exchange, and what to do. It contains no payload
/// and no password.
public struct AMQPError: Error, Sendable, CustomStringConvertible {
    /// The kind of error.
    public var code: Code
    /// A text for people: what happened, to what, and what to do about it.
    public var message: String
    /// The broker's reply, if there was one.
    public var reply: BrokerReply?
    /// The underlying error, if there is one.
    public var underlying: (any Error)?
    /// The source file that created the error.
    public var file: String
    /// The line in that file.
    public var line: Int

    /// Creates an error; file and line are the caller's.
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

    /// True if the broker certainly did not accept the message; false if it may have.
    ///
    /// Publishing again after an error whose outcome is unknown can create a duplicate; not doing so can lose the
    /// message.
    public var outcomeIsKnown: Bool { code.outcomeIsKnown }

    /// The code, the message, and the source location that created the error.
    public var description: String { "\(code): \(message) [\(file):\(line)]" }
}

extension AMQPError {
    /// A kind of error.
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

        /// The broker's URL can't be parsed.
        public static let invalidURL = Code("invalidURL")
        /// An argument can't be sent, such as a name that is too long.
        public static let invalidArgument = Code("invalidArgument")
        /// Nothing answers at the broker's address, or what answers doesn't speak AMQP.
        public static let connectionFailed = Code("connectionFailed", retriable: true)
        /// The TLS handshake failed.
        public static let tlsFailed = Code("tlsFailed")
        /// The broker refused user and password.
        public static let authenticationFailed = Code("authenticationFailed")
        /// The program's source of credentials failed, or took too long.
        public static let credentialsUnavailable = Code("credentialsUnavailable", retriable: true)
        /// The virtual host doesn't exist, or the user may not use it.
        public static let virtualHostRefused = Code("virtualHostRefused")
        /// A queue or exchange exists and differs from its declaration.
        public static let declarationMismatch = Code("declarationMismatch")
        /// The queue or exchange doesn't exist.
        public static let notFound = Code("notFound")
        /// The user lacks the permission.
        public static let accessRefused = Code("accessRefused")
        /// Another connection has exclusive use of the queue, or another process of the file.
        public static let resourceLocked = Code("resourceLocked", retriable: true)
        /// The broker refused the request, for the reason in its reply.
        public static let refused = Code("refused")
        /// The message is larger than the broker accepts.
        public static let messageTooLarge = Code("messageTooLarge")
        /// No queue is bound for the message, so the broker returned it.
        public static let unroutable = Code("unroutable")
        /// The broker refused responsibility for the message, as a full queue with `reject-publish` does.
        ///
        /// One queue's refusal is enough, and others to which the message was routed may have kept it
        /// (<https://www.rabbitmq.com/docs/maxlength#overflow-behaviour>).
        public static let nacked = Code("nacked", retriable: true, outcomeIsKnown: false)
        /// The broker blocked publishers (memory or disk alarm) until the deadline.
        public static let blocked = Code("blocked", retriable: true)
        /// The deadline passed before the message was sent.
        public static let deadlineExceeded = Code("deadlineExceeded", retriable: true)
        /// The deadline passed after the message was sent and before the broker answered.
        public static let confirmTimedOut = Code("confirmTimedOut", retriable: true, outcomeIsKnown: false)
        /// The queue exists and can't be used at present, as when its node is down or it has no leader.
        public static let unavailable = Code("unavailable", retriable: true)
        /// This program has closed the client, or the broker in this process; nothing was sent.
        public static let closed = Code("closed")
        /// The broker closed the connection, and nothing was sent.
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
        /// The bytes don't follow AMQP's format.
        public static let malformed = Code("malformed")
    }
}

/// A broker's reason for a refusal: AMQP's reply code and text.
public struct BrokerReply: Sendable, Hashable {
    /// AMQP's reply code, such as 404 or 406.
    public var code: UInt16
    /// The broker's text.
    public var text: String

    /// Creates a reply from its code and text.
    public init(code: UInt16, text: String) {
        self.code = code
        self.text = text
    }
}
