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

extension WarrenError {
    /// The kinds of error.
    ///
    /// More may come, so a `switch` over them needs a `default`.
    public struct Code: Sendable, Hashable, CustomStringConvertible {
        /// The kind's name, as logs show it.
        public let description: String

        private init(_ name: String) { description = name }

        /// A queue can't have this name.
        public static let invalidQueueName = Code("invalidQueueName")
        /// A job can't have this name.
        public static let invalidJobName = Code("invalidJobName")
        /// A job can't have this id.
        public static let invalidJobID = Code("invalidJobID")
        /// The queue doesn't have this lane, or no lane can have this name.
        public static let invalidLane = Code("invalidLane")
        /// A delay is negative, longer than the ladder's 2^28 - 1 seconds, or given twice.
        public static let invalidDelay = Code("invalidDelay")
        /// A time that can't be, such as an expiry that is earlier than the job is due.
        public static let invalidExpiry = Code("invalidExpiry")
        /// A retry policy, a concurrency or another setting makes no sense.
        public static let invalidConfiguration = Code("invalidConfiguration")
        /// The payload can't be encoded, or not as a JSON object.
        public static let payloadNotEncodable = Code("payloadNotEncodable")
        /// The body would be over 16 MiB.
        public static let payloadTooLarge = Code("payloadTooLarge")
        /// The headers would not fit the one frame that AMQP gives them.
        public static let headersTooLarge = Code("headersTooLarge")
        /// Two handlers are registered for one job name.
        public static let duplicateHandler = Code("duplicateHandler")
        /// The broker did not take a job; ``WarrenError/broker`` says why and whether the outcome is known.
        public static let notEnqueued = Code("notEnqueued")
        /// Queues and exchanges could not be declared or looked at.
        public static let topologyFailed = Code("topologyFailed")
        /// A worker can't go on.
        public static let workerFailed = Code("workerFailed")
        /// The spool's file is at its limit, and the broker takes no jobs: nothing was kept.
        public static let spoolFull = Code("spoolFull")
        /// The spool's file can't be used: another process has it, it is no spool, or the disk failed; nothing was kept.
        public static let spoolFailed = Code("spoolFailed")
        /// The disk did not answer by the deadline: the job may or may not be in the spool.
        public static let spoolTimedOut = Code("spoolTimedOut")
        /// A handler ran past its hard time limit and could not be ended, so the worker ended: end the process too.
        public static let hardTimeLimit = Code("hardTimeLimit")
        /// Dead letters could not be read or replayed.
        public static let deadLettersFailed = Code("deadLettersFailed")
    }
}
