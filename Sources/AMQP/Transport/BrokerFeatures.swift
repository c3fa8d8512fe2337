/// The differences between versions of RabbitMQ on which client and framework depend, in one table.
///
/// Nothing else compares versions. Each row names its source; "tried" means with 3.10.8 and 4.3.6, by hand or by the
/// integration tests. What a broker announces in the protocol (its capabilities, the bits of a method) is not here,
/// because it needs no version.
package struct BrokerFeatures: Sendable, Hashable {
    /// The oldest version on which all guarantees hold: the first whose quorum queues have a time to live and
    /// at-least-once dead-lettering.
    ///
    /// Source: <https://github.com/rabbitmq/rabbitmq-server/blob/main/release-notes/3.10.0.md>.
    package static let oldestSupportedVersion = BrokerVersion(3, 10)

    /// The series that the tests are run on.
    package static let testedSeries = [BrokerVersion(3, 10), BrokerVersion(4, 0), BrokerVersion(4, 3)]

    /// The version that is described.
    package var version: BrokerVersion

    /// The features of a broker of this version.
    package init(_ version: BrokerVersion) {
        self.version = version
    }

    private static let four = BrokerVersion(4, 0)
    private static let fourThree = BrokerVersion(4, 3)

    /// True if the guarantees hold on this version.
    package var isSupported: Bool { version >= Self.oldestSupportedVersion }

    /// True if the tests are run on this version's series.
    package var isTested: Bool {
        Self.testedSeries.contains { $0.major == version.major && $0.minor == version.minor }
    }

    /// True if this version's series came after all that the tests are run on.
    package var isNewerThanTested: Bool { !isTested && Self.testedSeries.allSatisfy { $0 < version } }

    // MARK: Redelivery

    /// The number of returns after which a quorum queue without `x-delivery-limit` dead-letters or drops a message;
    /// `nil` for no limit.
    ///
    /// Source: <https://github.com/rabbitmq/rabbitmq-server/blob/main/release-notes/4.0.1.md>.
    package var defaultDeliveryLimit: Int? { version >= Self.four ? 20 : nil }

    /// The `x-delivery-limit` that means "no limit", or `nil` where leaving the argument out means that.
    ///
    /// Until 3.13 a quorum queue without the argument has no limit, and -1 is not documented. Since 4.0 it would have a
    /// limit of 20, after which a queue without a dead-letter exchange drops the message; -1 lifts it.
    ///
    /// Source: <https://github.com/rabbitmq/rabbitmq-server/blob/main/release-notes/4.0.1.md>; tried.
    package var unlimitedDeliveryLimit: Int? { version >= Self.four ? -1 : nil }

    /// True if a requeue by `nack` counts towards a quorum queue's delivery limit.
    ///
    /// A requeue by `reject`, or because the consumer was lost, counts on every version.
    ///
    /// Source: <https://www.rabbitmq.com/docs/quorum-queues#poison-message-handling>; tried.
    package var nackCountsTowardsDeliveryLimit: Bool { version < Self.fourThree }

    /// The position at which a quorum queue puts a requeued message; those of a lost channel are put at the front on
    /// every version.
    ///
    /// - Parameter hasDeliveryLimit: Whether the queue has a limit, by argument, policy or ``defaultDeliveryLimit``.
    ///
    /// The documentation of 4.0 says "to its original position"; when tried, 3.10.8, 4.0.5 and 4.3.6 all kept the order
    /// of return.
    ///
    /// Source: <https://www.rabbitmq.com/docs/quorum-queues>, of each version; tried.
    package func requeuePosition(hasDeliveryLimit: Bool) -> RequeuePosition {
        hasDeliveryLimit || version >= Self.four ? .orderOfReturn : .back
    }

    /// The position of a requeued message in its queue.
    package enum RequeuePosition: Sendable, Hashable {
        /// Behind all others.
        case back
        /// Its original position, if possible. Tried: 3.10.8 and 4.0.5 put requeued messages before all others, in
        /// their original order.
        case originalPlace
        /// Before those not yet delivered, in the order in which they were requeued.
        case orderOfReturn
    }

    // MARK: Consumers

    /// True if a consumer can outlive its queue and receive nothing more, without notice from the broker.
    ///
    /// If a quorum queue is deleted and declared again within some 50 ms, the channel registers its consumer at the new
    /// queue and then drops that queue's deliveries: a full prefetch counts as delivered and never arrives, until the
    /// channel closes. Tried: 3.10.8 does so; 4.0.5 and 4.3.6 cancel the consumer each time. Versions in between were
    /// not tried.
    package var mayKeepDeadConsumers: Bool { version < Self.four }

    /// True if a quorum queue with a single active consumer lets a new one of a higher priority take over, once the
    /// active one has settled its deliveries.
    ///
    /// Source: <https://www.rabbitmq.com/docs/consumers#sac-priority>.
    package var prefersHigherPriorityActiveConsumer: Bool { version >= Self.four }

    // MARK: Consumer timeout

    /// The time for which a delivery may stay unsettled by default; `nil` if queues of this kind have no such limit.
    ///
    /// Sources: <https://www.rabbitmq.com/docs/consumers#acknowledgement-timeout>,
    /// <https://github.com/rabbitmq/rabbitmq-server/releases/tag/v4.3.0> ("No Longer Evaluated for Classic Queues");
    /// read from the running brokers' settings.
    package func defaultConsumerTimeout(of kind: QueueKind) -> Duration? {
        hasConsumerTimeout(of: kind) ? .seconds(1_800) : nil
    }

    /// Returns whether the broker limits how long a delivery of a queue of this kind may stay unsettled.
    ///
    /// Source: as of ``defaultConsumerTimeout(of:)``.
    package func hasConsumerTimeout(of kind: QueueKind) -> Bool { version < Self.fourThree || kind == .quorum }

    /// The broker's response to a consumer that exceeds the timeout.
    ///
    /// Sources: <https://github.com/rabbitmq/rabbitmq-server/blob/main/consumer_timeouts.md>; since 4.3.7 the broker's
    /// `consumer_timeout_response` can restore the old behaviour
    /// (<https://github.com/rabbitmq/rabbitmq-server/releases/tag/v4.3.7>).
    package var consumerTimeoutResponse: ConsumerTimeoutResponse {
        version >= Self.fourThree ? .cancelsConsumer : .closesChannel
    }

    /// A response to a consumer that keeps a delivery too long.
    package enum ConsumerTimeoutResponse: Sendable, Hashable {
        /// The channel is closed with 406, and all its consumers with it.
        case closesChannel
        /// The consumer gets `basic.cancel`, if the client advertised `consumer_cancel_notify`, as this one does.
        case cancelsConsumer
    }

    /// The effect of the argument `x-consumer-timeout`, and of the policy key `consumer-timeout`, on a queue of this
    /// kind.
    ///
    /// Sources: <https://www.rabbitmq.com/docs/consumers#per-queue-configuration>; tried: 3.10.8 accepts the argument
    /// and ignores it, 4.3.6 refuses it on a classic queue with 406.
    package func consumerTimeoutArgument(of kind: QueueKind) -> ArgumentEffect {
        if version < BrokerVersion(3, 12) { return .ignored }
        return hasConsumerTimeout(of: kind) ? .obeyed : .refused
    }

    /// The effect of an argument.
    package enum ArgumentEffect: Sendable, Hashable {
        /// Accepted, without effect.
        case ignored
        /// Accepted and applied.
        case obeyed
        /// Refused with 406.
        case refused
    }

    // MARK: Messages

    /// True if a quorum queue writes `x-delivery-count` also when it delivers a message for the first time, as 0.
    ///
    /// Tried: 3.10.8 does; 4.0.5 and 4.3.6 write it only once something has counted.
    package var countsFirstDelivery: Bool { version < Self.four }

    /// True if a quorum queue writes the number of all earlier deliveries of a message, counted or not, into
    /// `x-acquired-count`.
    ///
    /// Tried: 4.3.6 does, 3.10.8 and 4.0.5 don't.
    package var marksAcquiredCount: Bool { version >= Self.fourThree }

    /// The deliveries of a message that stay counted when it is dead-lettered.
    ///
    /// If there are any, the message is redelivered in its new queue, and a quorum queue continues the count.
    ///
    /// Tried with 3.10.8, 4.0.5 and 4.3.6, with both kinds of queue on either side, and with every way in which a
    /// consumer can settle or lose the deliveries.
    package func deadLetterCount(from source: QueueKind, to target: QueueKind) -> DeadLetterCount {
        if version >= Self.fourThree { return .lossesAndRejects }
        return version >= Self.four && source == .quorum && target == .quorum ? .lossesAndDiscard : .nothing
    }

    /// True if a quorum queue that exceeds its limit by several messages at once, as when those of a lost consumer are
    /// requeued, dead-letters the last of them first.
    ///
    /// Tried: 3.10.8 and 4.0.5 do, 4.3.6 doesn't.
    package var deadLettersSurplusInReverse: Bool { version < Self.fourThree }

    /// The deliveries of a dead letter that stay counted.
    package enum DeadLetterCount: Sendable, Hashable {
        /// None of them.
        case nothing
        /// Those whose consumer was lost, and the last one if its consumer discarded the message, by `reject` or
        /// `nack`.
        case lossesAndDiscard
        /// Those whose consumer was lost or used `reject`, with or without requeue; not those ended by `nack`.
        case lossesAndRejects
    }

    /// True if the broker reads `x-death` headers that a publisher sends, and silently drops the message if they look
    /// like a cycle.
    ///
    /// Source: <https://github.com/rabbitmq/rabbitmq-server/blob/main/release-notes/4.0.1.md>.
    package var interpretsPublishedDeathHeaders: Bool { version < Self.four }

    /// True if a dead-lettered message has `x-last-death-` headers beside the `x-first-death-` ones.
    ///
    /// Tried: 3.10.8 sets none, 4.0.5 and 4.3.6 do.
    package var marksLastDeath: Bool { version >= BrokerVersion(3, 13) }

    /// The largest message that the broker accepts by default, in bytes; ``Message/maximumBodySize`` is the smallest of
    /// all versions.
    ///
    /// Source: <https://github.com/rabbitmq/rabbitmq-server/blob/main/release-notes/4.0.1.md>; read from the running
    /// brokers' settings.
    package var maximumMessageSize: Int { (version >= Self.four ? 16 : 128) * 1024 * 1024 }

    /// The number of priorities that a quorum queue distinguishes without an argument; 1 means none.
    ///
    /// Source: <https://www.rabbitmq.com/blog/2026/04/23/rabbitmq-4.3-release>.
    package var quorumQueuePriorities: Int {
        if version >= Self.fourThree { return 32 }
        return version >= Self.four ? 2 : 1
    }

    // MARK: Declarations

    /// True if a queue that was declared without a type nevertheless reports one.
    ///
    /// Tried, by the text that refuses another type: 4.3.6 says `classic`, 3.10.8 and 4.0.5 say none.
    package var namesDefaultQueueType: Bool { version >= Self.fourThree }

    /// The greatest number of `#` in the pattern of a binding to a topic exchange; `nil` for any number.
    ///
    /// Tried: 4.3.6 refuses a third with 406, 3.10.8 and 4.0.5 don't.
    package var maximumHashesInPattern: Int? { version >= Self.fourThree ? 2 : nil }

    /// True if every broker of this version accepts a queue that is neither durable nor exclusive, unless it is
    /// configured not to.
    ///
    /// 4.3.0 refuses it (<https://github.com/rabbitmq/rabbitmq-server/releases/tag/v4.3.0>, "Deprecated Features are
    /// Now Disabled by Default"); Debian's 4.3.6 accepted it when tried.
    package var takesTransientSharedQueues: Bool { version < Self.fourThree }

    /// True if a consumer of a quorum queue is refused on a channel with a prefetch for the whole channel; if not, the
    /// prefetch silently applies to each consumer.
    ///
    /// Sources: <https://www.rabbitmq.com/docs/quorum-queues#global-qos>,
    /// <https://www.rabbitmq.com/docs/deprecated-features>; tried.
    package var refusesGlobalPrefetch: Bool { version < Self.fourThree }

    /// True if a policy can mirror classic queues (`ha-mode`).
    ///
    /// Source: <https://github.com/rabbitmq/rabbitmq-server/blob/main/release-notes/4.0.1.md>.
    package var mirrorsClassicQueues: Bool { version < Self.four }
}
