import AMQP

/// The settings that a queue's arguments give it on a broker of one version.
struct QueueSettings: Sendable {
    let kind: QueueKind
    let messageTTL: Duration?
    let expires: Duration?
    let maxLength: Int?
    let maxLengthBytes: Int?
    let overflow: QueueOverflow
    let deadLetterExchange: String?
    let deadLetterRoutingKey: String?
    /// True if dead letters are kept until all target queues have accepted them.
    let deadLettersAtLeastOnce: Bool
    let deliveryLimit: Int?
    /// The age up to which a stream keeps its messages.
    let maxAge: Duration?
    let priorities: ReadyMessages.Priorities
    let hasSingleActiveConsumer: Bool
    /// The argument's value, if the version obeys it.
    let consumerTimeout: Duration?
    let requeuePosition: BrokerFeatures.RequeuePosition
    /// True if several surplus messages are dead-lettered in reverse order.
    let dropsInReverse: Bool

    init(_ arguments: FieldTable, features: BrokerFeatures) {
        let kind = arguments["x-queue-type"]?.stringValue.map(QueueKind.init(rawValue:)) ?? .classic
        let isQuorum = kind == .quorum
        self.kind = kind
        messageTTL = arguments.milliseconds("x-message-ttl")
        expires = arguments.milliseconds("x-expires")
        maxLength = arguments.integer("x-max-length")
        maxLengthBytes = arguments.integer("x-max-length-bytes")
        let named = arguments["x-overflow"]?.stringValue.map(QueueOverflow.init(rawValue:)) ?? .dropHead
        // A quorum queue accepts `reject-publish-dlx` without acting on it.
        let overflow = isQuorum && named == .rejectPublishDLX ? .dropHead : named
        self.overflow = overflow
        let exchange = arguments["x-dead-letter-exchange"]?.stringValue
        deadLetterExchange = exchange
        deadLetterRoutingKey = arguments["x-dead-letter-routing-key"]?.stringValue
        let strategy = arguments["x-dead-letter-strategy"]?.stringValue
        deadLettersAtLeastOnce =
            isQuorum && exchange != nil && overflow == .rejectPublish
            && strategy == DeadLetterStrategy.atLeastOnce.rawValue
        let limit = isQuorum ? arguments.integer("x-delivery-limit") ?? features.defaultDeliveryLimit : nil
        deliveryLimit = limit.flatMap { $0 < 0 ? nil : $0 }
        maxAge = arguments["x-max-age"]?.stringValue.flatMap(Duration.init(streamAge:))
        priorities =
            isQuorum
            ? .quorum(levels: features.quorumQueuePriorities)
            : .strict(levels: min(255, arguments.integer("x-max-priority") ?? 0) + 1)
        hasSingleActiveConsumer = arguments["x-single-active-consumer"]?.boolValue ?? false
        consumerTimeout =
            features.consumerTimeoutArgument(of: kind) == .obeyed ? arguments.milliseconds("x-consumer-timeout") : nil
        requeuePosition =
            isQuorum ? features.requeuePosition(hasDeliveryLimit: deliveryLimit != nil) : .originalPlace
        dropsInReverse = isQuorum && features.deadLettersSurplusInReverse
    }

    /// The level at which the queue holds a message of a priority.
    func level(ofPriority priority: UInt8?) -> Int {
        let number = Int(priority ?? (kind == .quorum ? 4 : 0))
        switch priorities {
        case .twoToOne: return number > 4 ? 1 : 0
        case .strict(let levels): return min(number, levels - 1)
        }
    }
}

extension ReadyMessages.Priorities {
    fileprivate static func quorum(levels: Int) -> Self { levels == 2 ? .twoToOne : .strict(levels: levels) }
}

extension FieldTable {
    func integer(_ name: String) -> Int? { self[name]?.integerValue.map(Int.init) }
    func milliseconds(_ name: String) -> Duration? { self[name]?.integerValue.map { .milliseconds($0) } }
}
