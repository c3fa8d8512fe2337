/// The names of the arguments that ``QueueArguments`` has properties for, and which types of queue take them.
enum QueueArgumentName: String {
    case queueType = "x-queue-type"
    case messageTTL = "x-message-ttl"
    case expires = "x-expires"
    case maxLength = "x-max-length"
    case maxLengthBytes = "x-max-length-bytes"
    case overflow = "x-overflow"
    case deadLetterExchange = "x-dead-letter-exchange"
    case deadLetterRoutingKey = "x-dead-letter-routing-key"
    case deadLetterStrategy = "x-dead-letter-strategy"
    case deliveryLimit = "x-delivery-limit"
    case maxPriority = "x-max-priority"
    case singleActiveConsumer = "x-single-active-consumer"
    case maxAge = "x-max-age"
    case streamMaxSegmentSizeBytes = "x-stream-max-segment-size-bytes"
    case quorumInitialGroupSize = "x-quorum-initial-group-size"
    case consumerTimeout = "x-consumer-timeout"

    /// The types that take the argument on at least one supported version; the others answer 406 on all.
    ///
    /// Source: `capabilities/0` in `rabbit_classic_queue.erl`, `rabbit_quorum_queue.erl` and `rabbit_stream_queue.erl`, 3.10 to 4.3.
    var kinds: [QueueKind] {
        switch self {
        case .queueType, .maxLengthBytes: [.classic, .quorum, .stream]
        case .deadLetterStrategy, .deliveryLimit, .quorumInitialGroupSize: [.quorum]
        case .maxPriority: [.classic]
        case .maxAge, .streamMaxSegmentSizeBytes: [.stream]
        case .messageTTL, .expires, .maxLength, .overflow, .deadLetterExchange, .deadLetterRoutingKey,
            .singleActiveConsumer, .consumerTimeout:
            [.classic, .quorum]
        }
    }
}
