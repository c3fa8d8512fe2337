public import AMQP

/// An error of the framework: a job that can't be sent, a worker that can't be set up, a broker that refused something.
///
/// ``message`` is for people: it says what happened, to which queue or job, and what to do. It never holds a payload.
public struct WarrenError: Error, Sendable, CustomStringConvertible {
    /// The kind of error.
    public var code: Code
    /// A description of the problem, what it affects, and the remedy.
    public var message: String
    /// The error that caused this one, if there is one.
    public var underlying: (any Error)?
    /// The source file that created the error.
    public var file: String
    /// The line in that file.
    public var line: Int

    /// Creates an error; file and line are the caller's.
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

    /// The error of the broker or of the connection to it that caused this one, if one did.
    public var broker: AMQPError? { underlying as? AMQPError }

    /// True if the same call may succeed later without a change to program or configuration.
    public var isRetriable: Bool { broker?.isRetriable ?? false }

    /// True if it is certain that the broker did not take the job; false if it may have.
    ///
    /// Enqueueing again after an error whose outcome is unknown can run a job twice; with the same `id`, handlers can
    /// detect that.
    public var outcomeIsKnown: Bool { code != .spoolTimedOut && broker?.outcomeIsKnown ?? true }

    /// Code and message, the underlying error, and the place that created the error.
    public var description: String {
        guard let underlying else { return "\(code): \(message) [\(file):\(line)]" }
        let sentence = message.hasSuffix(".") ? message.dropLast() : message[...]
        return "\(code): \(sentence): \(underlying) [\(file):\(line)]"
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

        /// The name isn't valid for a queue.
        public static let invalidQueueName = Code("invalidQueueName")
        /// The name isn't valid for a job.
        public static let invalidJobName = Code("invalidJobName")
        /// The id isn't valid for a job.
        public static let invalidJobID = Code("invalidJobID")
        /// The queue doesn't have this lane, or there is no lane of this name.
        public static let invalidLane = Code("invalidLane")
        /// A delay is negative, longer than the ladder's 2^28 - 1 seconds, or given twice.
        public static let invalidDelay = Code("invalidDelay")
        /// The job would expire before it is due.
        public static let invalidExpiry = Code("invalidExpiry")
        /// A retry policy, a concurrency or another setting is out of range or contradicts another.
        public static let invalidConfiguration = Code("invalidConfiguration")
        /// The payload can't be encoded, or not as a JSON object.
        public static let payloadNotEncodable = Code("payloadNotEncodable")
        /// The body would be over 16 MiB.
        public static let payloadTooLarge = Code("payloadTooLarge")
        /// The headers would not fit into the one frame that AMQP allows for them.
        public static let headersTooLarge = Code("headersTooLarge")
        /// Two handlers are registered for one job name.
        public static let duplicateHandler = Code("duplicateHandler")
        /// The broker did not take a job.
        ///
        /// ``WarrenError/broker`` gives the reason, ``WarrenError/outcomeIsKnown`` whether that is certain.
        public static let notEnqueued = Code("notEnqueued")
        /// Queues and exchanges could not be declared or inspected.
        public static let topologyFailed = Code("topologyFailed")
        /// A worker can't continue.
        public static let workerFailed = Code("workerFailed")
        /// The spool's file is at its limit, and the broker takes no jobs: the job was not kept.
        public static let spoolFull = Code("spoolFull")
        /// The spool's file can't be used: another process uses it, it is not a spool, or the disk failed.
        ///
        /// The job was not kept.
        public static let spoolFailed = Code("spoolFailed")
        /// The disk did not finish the write before the deadline: the job may or may not be in the spool.
        public static let spoolTimedOut = Code("spoolTimedOut")
        /// A handler ran past its hard time limit and could not be ended, so the worker ended.
        ///
        /// The process must end too.
        public static let hardTimeLimit = Code("hardTimeLimit")
        /// Dead letters could not be read or replayed.
        public static let deadLettersFailed = Code("deadLettersFailed")
    }
}
