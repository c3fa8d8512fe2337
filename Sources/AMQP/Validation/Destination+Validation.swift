extension Destination {
    /// Refuses names and keys that AMQP can't send.
    ///
    /// - Throws: `invalidArgument`: what is too long.
    public func validate() throws(AMQPError) {
        try ShortString.validateName(exchange, "The exchange to publish to")
        try ShortString.validate(routingKey, "The routing key to publish with")
    }
}
