import AMQP

extension Delivery {
    /// The job's id as its message says, for logs.
    var jobID: String { message.properties.headers?[EnvelopeHeader.id]?.stringValue ?? "?" }
}
