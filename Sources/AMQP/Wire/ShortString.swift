/// AMQP's short strings: names, routing keys and most properties, at most 255 bytes of UTF-8.
package enum ShortString {
    static let maximumLength = 255

    /// Throws `invalidArgument` if `text` is too long; `what` begins the message and names the text.
    package static func validate(_ text: String, _ what: @autoclosure () -> String) throws(AMQPError) {
        guard text.utf8.count <= maximumLength else {
            throw AMQPError(
                .invalidArgument,
                "\(what()) has \(text.utf8.count) bytes of UTF-8; AMQP allows \(maximumLength). It begins with "
                    + "'\(text.prefix(40))'. Choose a shorter one."
            )
        }
    }

    /// Throws `invalidArgument` if `name`, of a queue or exchange, is too long, or if RabbitMQ would change it by
    /// removing line ends.
    static func validateName(_ name: String, _ what: @autoclosure () -> String) throws(AMQPError) {
        try validate(name, what())
        guard !name.utf8.contains(where: { $0 == UInt8(ascii: "\r") || $0 == UInt8(ascii: "\n") }) else {
            throw AMQPError(
                .invalidArgument,
                "\(what()) holds a line end, which RabbitMQ removes, so nothing could find it by this name. Leave it out."
            )
        }
    }
}
