import AMQP

/// A method that the client sends to the broker; publishing, which carries a message, isn't one of these.
enum OutboundMethod: Sendable, Equatable {
    case connectionClose
    case connectionCloseOk
    /// Gives the broker the new password or token of the connection's user.
    case updateSecret(Credentials)
    case channelOpen
    case channelFlowOk(active: Bool)
    case channelClose
    case channelCloseOk
    case declareExchange(ExchangeDeclaration, passive: Bool)
    case deleteExchange(String, ifUnused: Bool)
    case declareQueue(QueueDeclaration, passive: Bool)
    case bind(Binding)
    case unbind(Binding)
    case deleteQueue(String, ifUnused: Bool, ifEmpty: Bool)
    case purgeQueue(String)
    case qos(prefetch: UInt16)
    case consume(queue: String, ConsumeOptions)
    case cancel(consumerTag: String)
    case cancelOk(consumerTag: String)
    case confirmSelect
    case get(queue: String)
    case ack(tag: UInt64, multiple: Bool)
    case nack(tag: UInt64, multiple: Bool, requeue: Bool)
    case reject(tag: UInt64, requeue: Bool)
}

extension OutboundMethod {
    /// The method's purpose, as a verb phrase for error messages.
    var summary: String {
        switch self {
        case .connectionClose, .connectionCloseOk: "close the connection"
        case .updateSecret: "renew the connection's secret"
        case .channelOpen: "open a channel"
        case .channelFlowOk: "answer a change of flow"
        case .channelClose, .channelCloseOk: "close a channel"
        case .declareExchange(let exchange, let passive):
            "\(passive ? "look at" : "declare") the exchange '\(exchange.name)'"
        case .deleteExchange(let name, _): "delete the exchange '\(name)'"
        case .declareQueue(let queue, let passive): "\(passive ? "look at" : "declare") the queue '\(queue.name)'"
        case .bind(let binding): "bind \(binding.target.summary) to the exchange '\(binding.source)'"
        case .unbind(let binding): "unbind \(binding.target.summary) from the exchange '\(binding.source)'"
        case .deleteQueue(let name, _, _): "delete the queue '\(name)'"
        case .purgeQueue(let name): "purge the queue '\(name)'"
        case .qos: "set the prefetch"
        case .consume(let queue, _): "consume the queue '\(queue)'"
        case .cancel, .cancelOk: "cancel a consumer"
        case .confirmSelect: "enable publisher confirms"
        case .get(let queue): "get a message from the queue '\(queue)'"
        case .ack, .nack, .reject: "settle a delivery"
        }
    }
}

extension AMQPError {
    /// The broker closed the channel because of a method.
    static func refused(_ method: OutboundMethod, _ reply: BrokerReply) -> AMQPError {
        refused(method.summary, reply)
    }
}
