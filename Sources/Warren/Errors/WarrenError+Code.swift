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
