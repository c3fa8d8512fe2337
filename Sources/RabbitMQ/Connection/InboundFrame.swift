import AMQP

/// A frame from the broker, copied out of librabbitmq's memory.
enum InboundFrame: Sendable, Equatable {
    case method(InboundMethod)
    case header(bodySize: Int, BasicProperties)
    case body([UInt8])
}

/// A method from the broker: those that a client gets after log-in.
enum InboundMethod: Sendable, Equatable {
    case connectionClose(BrokerReply)
    case connectionCloseOk
    case blocked(reason: String)
    case unblocked
    case channelOpenOk
    case channelFlow(active: Bool)
    case channelClose(BrokerReply)
    case channelCloseOk
    case exchangeDeclareOk
    case exchangeDeleteOk
    case exchangeBindOk
    case exchangeUnbindOk
    case queueDeclareOk(QueueStatus)
    case queueBindOk
    case queueUnbindOk
    case queueDeleteOk(messageCount: Int)
    case queuePurgeOk(messageCount: Int)
    case qosOk
    case consumeOk(consumerTag: String)
    case cancelOk(consumerTag: String)
    /// The broker ends a consumer; RabbitMQ before 4.3 wants no answer to it.
    case cancel(consumerTag: String, mustAnswer: Bool)
    case confirmSelectOk
    case getEmpty
    case ack(tag: UInt64, multiple: Bool)
    case nack(tag: UInt64, multiple: Bool)
    /// The beginning of a message: a header frame and body frames follow on the same channel.
    case content(ContentStart)
    /// Something this client has no use for.
    case other(id: UInt32)
}

/// The method that begins a message.
enum ContentStart: Sendable, Equatable {
    case delivery(consumerTag: String, tag: UInt64, isRedelivered: Bool, Destination)
    case get(tag: UInt64, isRedelivered: Bool, Destination)
    case returned(BrokerReply, Destination)
}
