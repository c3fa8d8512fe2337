import AMQP

/// What goes wrong at a ``FaultyBroker``.
struct Faults: Sendable {
    /// The errors of one kind of request.
    struct Errors: Sendable {
        /// Those of the next requests, one each.
        var next: [AMQPError] = []
        /// That of every request after those; `nil` for none.
        var always: AMQPError?

        mutating func take() -> AMQPError? { next.isEmpty ? always : next.removeFirst() }
    }

    var publishing = Errors()
    var consuming = Errors()
    /// Of exchanges and queues.
    var declaring = Errors()
    /// Queues with this in their names may not be declared.
    var forbiddenQueues: String?
    /// Whether declaring an exchange hangs until the task is cancelled, as on a connection that the broker blocks.
    var declaringHangs = false
    /// The next consumer is to be this one.
    var deafConsumer: DeafConsumer?
}
