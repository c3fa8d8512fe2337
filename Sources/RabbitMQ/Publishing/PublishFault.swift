import AMQP

/// The fault for which the broker refused a publish, and which every other publish with it has too.
enum PublishFault: Equatable {
    case missingExchange(String, BrokerReply)
    case exchangeRefused(String, BrokerReply)
    case destinationRefused(Destination, BrokerReply)
    case bodyTooLarge(limit: Int, BrokerReply)
    case wrongUser(String, BrokerReply)
    case malformedCopies(BrokerReply)

    /// Returns the fault of a publish if the broker's reply is about it.
    ///
    /// The texts are those of `rabbit_channel.erl`, `rabbit_access_control.erl` and `rabbit_basic.erl`, 3.10 to 4.3. A
    /// text that the broker cut at 255 bytes matches nothing.
    init?(of publish: PendingPublish, in reply: BrokerReply) {
        let destination = publish.destination
        let exchange = destination.exchange.isEmpty ? "amq.default" : destination.exchange
        let properties = publish.message.properties
        switch reply.code {
        case 404 where reply.text.contains("no exchange '\(destination.exchange)' in vhost"):
            self = .missingExchange(destination.exchange, reply)
        case 403 where reply.text.contains(" to topic '"):
            guard reply.text.contains(" to topic '\(destination.routingKey)' in "),
                reply.text.contains(" '\(exchange)' in vhost")
            else { return nil }
            self = .destinationRefused(destination, reply)
        case 403 where reply.text.contains(" exchange '\(exchange)' in vhost"):
            self = .exchangeRefused(destination.exchange, reply)
        case 406 where reply.text.contains("message size \(publish.message.body.count) "):
            let limit = reply.text.split(whereSeparator: { !$0.isNumber }).last.flatMap { Int($0) }
            self = .bodyTooLarge(limit: min(limit ?? .max, publish.message.body.count - 1), reply)
        case 406:
            if let user = properties.userID, reply.text.contains("user_id property set to '\(user)' but") {
                self = .wrongUser(user, reply)
            } else if reply.text.contains("unacceptable_type_in_header"), properties.headers?.hasMalformedCopies == true
            {
                self = .malformedCopies(reply)
            } else {
                return nil
            }
        default: return nil
        }
    }

    /// The broker's words.
    var reply: BrokerReply {
        switch self {
        case .missingExchange(_, let reply), .exchangeRefused(_, let reply), .destinationRefused(_, let reply),
            .bodyTooLarge(_, let reply), .wrongUser(_, let reply), .malformedCopies(let reply):
            reply
        }
    }

    /// Returns whether a publish has the same fault.
    func concerns(_ publish: PendingPublish) -> Bool {
        switch self {
        case .missingExchange(let name, _), .exchangeRefused(let name, _): publish.destination.exchange == name
        case .destinationRefused(let destination, _): publish.destination == destination
        case .bodyTooLarge(let limit, _): publish.message.body.count > limit
        case .wrongUser(let user, _): publish.message.properties.userID == user
        case .malformedCopies: publish.message.properties.headers?.hasMalformedCopies == true
        }
    }
}

extension FieldTable {
    /// True if a header with more routing keys isn't an array, as RabbitMQ demands
    /// (<https://www.rabbitmq.com/docs/sender-selected>).
    fileprivate var hasMalformedCopies: Bool {
        ["CC", "BCC"].contains { name in
            switch self[name] {
            case nil, .array: false
            default: true
            }
        }
    }
}
