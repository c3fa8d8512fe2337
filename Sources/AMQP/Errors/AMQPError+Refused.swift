extension AMQPError {
    /// A broker refused a method, by closing the channel or by the code with which it would.
    ///
    /// - Parameter summary: What the method was to do, such as "declare the queue 'orders'".
    package static func refused(_ summary: String, _ reply: BrokerReply) -> AMQPError {
        switch reply.code {
        case 404:
            return AMQPError(.notFound, "Can't \(summary): \(reply.text).", reply: reply)
        case 403:
            return AMQPError(
                .accessRefused,
                "Can't \(summary): the user lacks the permission. \(reply.text).",
                reply: reply
            )
        case 405:
            return AMQPError(
                .resourceLocked,
                "Can't \(summary): another connection has it to itself. \(reply.text).",
                reply: reply
            )
        case 406:
            if let mismatch = DeclarationMismatch(reply: reply) {
                return AMQPError(.declarationMismatch, mismatch.description, reply: reply)
            }
            return AMQPError(.refused, "Can't \(summary): \(reply.text).", reply: reply)
        default:
            return AMQPError(.refused, "Can't \(summary): \(reply.text) (\(reply.code)).", reply: reply)
        }
    }

    /// A broker refused a publish, by closing the channel or by the code with which it would.
    package static func refusedPublish(
        of message: Message,
        to destination: Destination,
        _ reply: BrokerReply
    ) -> AMQPError {
        switch reply.code {
        case 404:
            AMQPError(
                .notFound,
                "There is no exchange '\(destination.exchange)': declare it before publishing to it. Nothing was kept.",
                reply: reply
            )
        case 403:
            AMQPError(
                .accessRefused,
                "The user may not publish to the exchange '\(destination.exchange)': \(reply.text).",
                reply: reply
            )
        case 406 where reply.text.contains("message size"):
            AMQPError(
                .messageTooLarge,
                "The broker refused a message of \(message.body.count) bytes: \(reply.text).",
                reply: reply
            )
        default:
            AMQPError(.refused, "The broker refused the message to \(destination): \(reply.text).", reply: reply)
        }
    }
}

extension Binding.Target {
    /// The queue or exchange as an error message names it.
    package var summary: String {
        switch self {
        case .queue(let name): "the queue '\(name)'"
        case .exchange(let name): "the exchange '\(name)'"
        }
    }
}
