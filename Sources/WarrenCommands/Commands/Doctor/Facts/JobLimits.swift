import Warren

/// What a kind of job asks of its queue.
struct JobLimits: Sendable, Hashable {
    /// The job's name.
    var name: String
    /// Its queue.
    var queue: QueueName
    /// How many times it is run in all.
    var attempts: Int
    /// How long one run may take; `nil` if it isn't limited.
    var timeLimit: Duration?

    init(name: String, queue: QueueName, attempts: Int, timeLimit: Duration? = nil) {
        self.name = name
        self.queue = queue
        self.attempts = attempts
        self.timeLimit = timeLimit
    }

    /// The limits of a kind of job: the one place that asks its type.
    init(of job: any Job.Type) {
        self.init(
            name: job.name,
            queue: job.queue,
            attempts: job.retry.attempts,
            timeLimit: job.timeLimits.hard ?? job.timeLimits.soft
        )
    }
}
