// The errors that every broker reports in the same words, whether it is RabbitMQ or embedded.

extension AMQPError {
    /// The broker refused a method, by closing the channel or with the code for which it would.
    ///
    /// - Parameter summary: The request as a verb phrase, such as "declare the queue 'orders'".
    package static func refused(_ summary: String, _ reply: BrokerReply) -> AMQPError {
        switch reply.code {
        case _ where reply.saysUnavailable:
            return AMQPError(
                .unavailable,
                "Can't \(summary) at present: \(reply.text). Try again later, and look at the nodes of its replicas.",
                reply: reply
            )
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

    /// The broker refused a publish, by closing the channel or with the code for which it would.
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

    /// A mandatory message reached no queue.
    package static func unroutable(to destination: Destination, reply: BrokerReply) -> AMQPError {
        AMQPError(
            .unroutable,
            "No queue is bound to take the message to \(destination): declare and bind the queue first. Nothing was kept.",
            reply: reply
        )
    }

    /// The broker refused a message with `basic.nack`.
    package static func nacked(to destination: Destination) -> AMQPError {
        AMQPError(
            .nacked,
            """
            The broker refused the message to \(destination): a queue there is full and rejects new messages, or it \
            could not store it. Other queues to which the message was routed may have kept it; publishing again, later, \
            can create duplicates there.
            """
        )
    }

    /// The message's body is larger than the client may send.
    package static func bodyTooLarge(_ size: Int, limit: Int, to destination: Destination) -> AMQPError {
        AMQPError(
            .messageTooLarge,
            """
            The message to \(destination) has a body of \(size) bytes, and the limit is \(limit): send a reference to \
            the data instead. \
            Nothing was sent.
            """
        )
    }

    /// The broker blocked publishing, as for a memory or disk alarm, until the publish's deadline.
    package static func publishBlocked(reason: String) -> AMQPError {
        AMQPError(.blocked, "The broker accepted no messages until the deadline (\(reason)). Nothing was sent.")
    }

    /// The deadline passed before the message was sent.
    package static func publishDeadlinePassed(to destination: Destination, _ cause: String = "") -> AMQPError {
        AMQPError(.deadlineExceeded, "The deadline passed before the message to \(destination) was sent\(cause).")
    }

    /// The publishing task was cancelled.
    package static func publishCancelled(to destination: Destination, wasSent: Bool = true) -> AMQPError {
        let consequence = wasSent ? "The message may have been sent." : "Nothing was sent."
        return cancelled("The task publishing to \(destination) was cancelled. \(consequence)")
    }

    /// The calling task was cancelled.
    package static func cancelled(_ message: String) -> AMQPError {
        AMQPError(.cancelled, message, underlying: CancellationError())
    }

    /// The program closed the connection.
    package static var closedByProgram: AMQPError {
        AMQPError(.closed, "This program closed the client: use it before, or make another.")
    }

    /// The broker cancelled a consumer because its queue is gone or unavailable.
    package static func consumerCancelled(queue: String) -> AMQPError {
        AMQPError(
            .consumerCancelled,
            """
            The broker cancelled the consumer of the queue '\(queue)': the queue was deleted or is not available now. \
            Declare it again \
            if it is gone, and consume again.
            """
        )
    }

    /// The broker closed the channel of a running consumer.
    package static func consumerChannelClosed(queue: String, _ reply: BrokerReply) -> AMQPError {
        AMQPError(
            .channelClosed,
            "The broker closed the channel that consumes the queue '\(queue)': \(reply.text).",
            reply: reply
        )
    }
}

extension BrokerReply {
    /// True if the broker refuses for a passing reason: the queue's node is down, or it has no leader or no replica
    /// here.
    ///
    /// The texts are those of `rabbit_amqqueue.erl` and `rabbit_channel.erl`, 3.10 to 4.3. An internal error (541) has
    /// no text on 3.10 and 4.0: a quorum queue without a leader is the usual one.
    fileprivate var saysUnavailable: Bool {
        switch code {
        case 404: text.contains(" is down or inaccessible")
        case 506: text.contains("does not have a running local replica")
        case 541: true
        default: false
        }
    }
}
