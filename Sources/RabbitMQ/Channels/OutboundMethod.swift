import AMQP

/// A method to the broker, but for publishing, which carries a message.
enum OutboundMethod: Sendable, Equatable {
    case connectionClose
    case connectionCloseOk
    case channelOpen
    case channelFlowOk(active: Bool)
    case channelClose
    case channelCloseOk
    case declareExchange(ExchangeDeclaration, passive: Bool)
    case deleteExchange(String)
    case declareQueue(QueueDeclaration, passive: Bool)
    case bind(Binding)
    case unbind(Binding)
    case deleteQueue(String)
    case purgeQueue(String)
    case qos(prefetch: UInt16)
    case consume(queue: String, consumerTag: String, arguments: FieldTable)
    case cancel(consumerTag: String)
    case cancelOk(consumerTag: String)
    case confirmSelect
    case get(queue: String)
    case ack(tag: UInt64, multiple: Bool)
    case nack(tag: UInt64, multiple: Bool, requeue: Bool)
    case reject(tag: UInt64, requeue: Bool)
}

extension OutboundMethod {
    /// What the method does, for an error message.
    var summary: String {
        switch self {
        case .connectionClose, .connectionCloseOk: "close the connection"
        case .channelOpen: "open a channel"
        case .channelFlowOk: "answer a change of flow"
        case .channelClose, .channelCloseOk: "close a channel"
        case .declareExchange(let exchange, let passive):
            "\(passive ? "look at" : "declare") the exchange '\(exchange.name)'"
        case .deleteExchange(let name): "delete the exchange '\(name)'"
        case .declareQueue(let queue, let passive): "\(passive ? "look at" : "declare") the queue '\(queue.name)'"
        case .bind(let binding): "bind \(binding.target.summary) to the exchange '\(binding.source)'"
        case .unbind(let binding): "unbind \(binding.target.summary) from the exchange '\(binding.source)'"
        case .deleteQueue(let name): "delete the queue '\(name)'"
        case .purgeQueue(let name): "purge the queue '\(name)'"
        case .qos: "set the prefetch"
        case .consume(let queue, _, _): "consume the queue '\(queue)'"
        case .cancel, .cancelOk: "cancel a consumer"
        case .confirmSelect: "turn confirms on"
        case .get(let queue): "get a message from the queue '\(queue)'"
        case .ack, .nack, .reject: "settle a delivery"
        }
    }
}

extension AMQPError {
    /// The broker closed a channel because of a method.
    static func refused(_ method: OutboundMethod, _ reply: BrokerReply) -> AMQPError {
        refused(method.summary, reply)
    }
}
