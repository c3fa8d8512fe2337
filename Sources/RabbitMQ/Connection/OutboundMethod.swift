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
