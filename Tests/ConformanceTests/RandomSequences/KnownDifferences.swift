import AMQP

/// The behaviour of RabbitMQ that varies from run to run or is a fault of one version, which the sequences avoid or
/// don't compare.
///
/// - 3.10.8: a channel that held a message of a classic queue fails (541) on a quorum queue of the same name. A queue
///   keeps its first type: ``allowDeclaration(of:as:)``.
/// - 3.10.8: a consumer gets one delivery beyond its prefetch for each message that reaches the delivery limit. A queue
///   that ever had a limit has no consumers: ``allowsConsumer(_:on:among:)``.
/// - 3.10: the order of the `x-death` records behind the latest changes at each death. ``SequenceObservation`` sorts
///   them.
/// - 4.3: whether a classic queue marks a dead letter as redelivered depends on whether it had to wait. The mark isn't
///   compared there: ``comparesRedelivered(_:names:)``.
/// - All versions: of several consumers of a queue, the one that is served next varies. A queue has one consumer:
///   ``allowsConsumer(_:on:among:)``.
/// - All versions: when a connection closes, the channel that requeues first varies. The connection isn't closed while
///   two channels hold messages of one queue: ``allowsClosing(_:got:names:)``.
/// - All versions: a quorum queue counts a cancelled consumer until its deliveries are settled. The count isn't
///   compared then: ``comparesConsumerCount(of:_:got:names:)``.
/// - All versions: the order in which the dead letters of two queues arrive varies. Only one queue dead-letters by
///   itself: ``OperationSequence``.
struct KnownDifferences {
    /// Whether each queue was a quorum queue when it was first declared.
    private var isQuorum: [Int: Bool] = [:]
    /// The queues that have had a delivery limit.
    private var limited: Set<Int> = []

    /// Whether a queue may be declared as a profile; if so, notes the declaration.
    mutating func allowDeclaration(of queue: Int, as profile: QueueProfile) -> Bool {
        guard isQuorum[queue, default: profile.isQuorum] == profile.isQuorum else { return false }
        isQuorum[queue] = profile.isQuorum
        if profile == .quorumLimited { limited.insert(queue) }
        return true
    }

    /// Whether a consumer of this number may consume a queue.
    func allowsConsumer(_ number: Int, on queue: Int, among consumers: [Int: SequenceConsumer]) -> Bool {
        let isTaken = consumers.contains { other, consumer in
            (other == number || consumer.queue == queue) && !consumer.hasEnded
                || other == number && !consumer.unsettled.isEmpty
        }
        return !isTaken && !limited.contains(queue)
    }

    /// Whether the connection may be closed that consumes and gets.
    func allowsClosing(_ consumers: [Int: SequenceConsumer], got: [Delivery], names: SequenceNames) -> Bool {
        !consumers.values.contains { consumer in
            !consumer.unsettled.isEmpty && got.contains { $0.queue == names.queue(consumer.queue) }
        }
    }

    /// Whether the number of a queue's consumers is comparable: no message is unsettled that was got, or whose consumer
    /// has ended.
    func comparesConsumerCount(
        of queue: Int,
        _ consumers: [Int: SequenceConsumer],
        got: [Delivery],
        names: SequenceNames
    ) -> Bool {
        let hasGot = got.contains { $0.queue == names.queue(queue) }
        let hasEnded = consumers.values.contains { $0.queue == queue && $0.received.hasEndedWithDeliveries }
        return !hasGot && !hasEnded
    }

    /// Whether the redelivered mark of a delivery is comparable.
    func comparesRedelivered(_ delivery: Delivery, names: SequenceNames) -> Bool {
        delivery.message.deaths.isEmpty || isQuorum.contains { names.queue($0) == delivery.queue && $1 }
    }
}
