import AMQP
import Testing

struct BrokerFeaturesTests {
    private static let old = BrokerFeatures(BrokerVersion(3, 10, 8))
    private static let four = BrokerFeatures(BrokerVersion(4, 0, 5))
    private static let fourTwo = BrokerFeatures(BrokerVersion(4, 2, 9))
    private static let new = BrokerFeatures(BrokerVersion(4, 3, 6))

    @Test func `Versions are supported from 3.10 on`() {
        #expect(!BrokerFeatures(BrokerVersion(3, 9, 29)).isSupported)
        #expect([Self.old, Self.four, Self.new].allSatisfy { $0.isSupported && $0.isTested })
    }

    @Test func `A version between the tested ones is neither tested nor newer; one after them is newer`() {
        #expect(!Self.fourTwo.isTested && !Self.fourTwo.isNewerThanTested)
        let next = BrokerFeatures(BrokerVersion(4, 4))
        #expect(!next.isTested && next.isNewerThanTested && next.isSupported)
        #expect(!Self.new.isNewerThanTested)
    }

    @Test func `Since 4.0 a quorum queue has a delivery limit of 20 by default, and -1 lifts it`() {
        #expect(Self.old.defaultDeliveryLimit == nil && Self.old.unlimitedDeliveryLimit == nil)
        #expect(BrokerFeatures(BrokerVersion(3, 13, 7)).defaultDeliveryLimit == nil)
        for features in [Self.four, Self.fourTwo, Self.new] {
            #expect(features.defaultDeliveryLimit == 20 && features.unlimitedDeliveryLimit == -1)
        }
    }

    @Test func `A nack counts towards the delivery limit until 4.2`() {
        #expect([Self.old, Self.four, Self.fourTwo].allSatisfy { $0.nackCountsTowardsDeliveryLimit })
        #expect(!Self.new.nackCountsTowardsDeliveryLimit)
    }

    @Test func `A requeued message is put at the back or in the order of return`() {
        #expect(Self.old.requeuePosition(hasDeliveryLimit: false) == .back)
        #expect(Self.old.requeuePosition(hasDeliveryLimit: true) == .orderOfReturn)
        #expect(Self.four.requeuePosition(hasDeliveryLimit: false) == .orderOfReturn)
        #expect(Self.new.requeuePosition(hasDeliveryLimit: true) == .orderOfReturn)
    }

    @Test func `A consumer has 30 minutes, on 4.3 only at a quorum queue`() {
        for features in [Self.old, Self.four] {
            #expect(features.defaultConsumerTimeout(of: .quorum) == .seconds(1_800))
            #expect(features.defaultConsumerTimeout(of: .classic) == .seconds(1_800))
            #expect(features.consumerTimeoutResponse == .closesChannel)
        }
        #expect(Self.new.defaultConsumerTimeout(of: .quorum) == .seconds(1_800))
        #expect(Self.new.defaultConsumerTimeout(of: .classic) == nil)
        #expect(Self.new.consumerTimeoutResponse == .cancelsConsumer)
    }

    @Test func `The argument x-consumer-timeout is ignored before 3.12 and refused by a classic queue on 4.3`() {
        #expect(Self.old.consumerTimeoutArgument(of: .quorum) == .ignored)
        #expect(BrokerFeatures(BrokerVersion(3, 12)).consumerTimeoutArgument(of: .classic) == .obeyed)
        #expect(Self.new.consumerTimeoutArgument(of: .quorum) == .obeyed)
        #expect(Self.new.consumerTimeoutArgument(of: .classic) == .refused)
    }

    @Test func `A published x-death is interpreted before 4.0`() {
        #expect(Self.old.interpretsPublishedDeathHeaders)
        #expect(!Self.four.interpretsPublishedDeathHeaders && !Self.new.interpretsPublishedDeathHeaders)
    }

    @Test func `The largest body is the smallest limit of all supported versions`() {
        #expect(Self.old.maximumMessageSize == 128 << 20)
        #expect([Self.old, Self.four, Self.new].map(\.maximumMessageSize).min() == Message.maximumBodySize)
    }

    @Test func `A quorum queue has no priorities, then two, then 32`() {
        #expect([Self.old, Self.four, Self.fourTwo, Self.new].map(\.quorumQueuePriorities) == [1, 2, 2, 32])
    }

    @Test func `RabbitMQ 4.3 may refuse transient shared queues, and applies a global prefetch to each consumer`() {
        #expect(Self.fourTwo.takesTransientSharedQueues && Self.fourTwo.refusesGlobalPrefetch)
        #expect(!Self.new.takesTransientSharedQueues && !Self.new.refusesGlobalPrefetch)
    }

    @Test func `Later versions say more of the history of deliveries and dead letters`() {
        #expect(Self.old.countsFirstDelivery && !Self.four.countsFirstDelivery)
        #expect(!Self.old.marksLastDeath && Self.four.marksLastDeath)
        #expect(!Self.fourTwo.marksAcquiredCount && Self.new.marksAcquiredCount)
        #expect(Self.four.deadLettersSurplusInReverse && !Self.new.deadLettersSurplusInReverse)
        #expect(Self.old.deadLetterCount(from: .quorum, to: .quorum) == .nothing)
        #expect(Self.four.deadLetterCount(from: .quorum, to: .quorum) == .lossesAndDiscard)
        #expect(Self.four.deadLetterCount(from: .quorum, to: .classic) == .nothing)
        #expect(Self.new.deadLetterCount(from: .classic, to: .quorum) == .lossesAndRejects)
    }

    @Test func `A higher priority takes a single active consumer's place since 4.0, and 4.3 names the default type`() {
        #expect(!Self.old.prefersHigherPriorityActiveConsumer && Self.four.prefersHigherPriorityActiveConsumer)
        #expect(!Self.four.namesDefaultQueueType && Self.new.namesDefaultQueueType)
    }

    @Test func `Mirrored classic queues ended with 4.0`() {
        #expect(Self.old.mirrorsClassicQueues && !Self.four.mirrorsClassicQueues)
    }
}
