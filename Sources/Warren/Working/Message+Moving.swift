import AMQP

extension Message {
    /// The message as it came, to be published again: without what a broker added on the way, and without AMQP's `expiration`, which
    /// would cut a delay short.
    func strippingBrokerHeaders() -> Message {
        var message = self
        message.properties.expiration = nil
        message.properties.userID = nil
        if var headers = properties.headers {
            BrokerHeaders.remove(from: &headers)
            message.properties.headers = headers
        }
        return message
    }

    /// A parked message as it was before it was parked.
    func unparked() -> Message {
        var message = strippingBrokerHeaders()
        for name in [EnvelopeHeader.originalExchange, EnvelopeHeader.originalRoutingKey, EnvelopeHeader.parkedAt] {
            message.properties.headers?[name] = nil
        }
        return message
    }
}
