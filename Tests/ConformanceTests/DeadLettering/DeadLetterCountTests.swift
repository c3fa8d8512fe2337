import AMQP
import Testing

extension Conformance {
    /// The deliveries of a dead letter that count in its new queue.
    @Suite struct DeadLetterCountTests {
        /// The treatment of the message before it is dead-lettered.
        enum Before: CaseIterable, Sendable {
            case nothing
            case nackedToQueue
            case rejectedToQueue
            case consumerLost
        }

        /// The cause of its dead-lettering.
        enum End: CaseIterable, Sendable {
            case nack
            case reject
            case overflow
        }

        /// The kinds of the old and the new queue.
        struct Way: Sendable {
            var source: QueueKind
            var target: QueueKind

            static let all = QueueKind.common.flatMap { source in
                QueueKind.common.map { Way(source: source, target: $0) }
            }
        }

        @Test(arguments: ConformanceBroker.all, Way.all)
        func `A dead letter keeps the deliveries that count`(_ broker: ConformanceBroker, _ way: Way) async throws {
            for before in Before.allCases {
                for end in End.allCases {
                    let letter = try await letter(broker, way, before, end)
                    let count = count(broker.features.deadLetterCount(from: way.source, to: way.target), before, end)
                    #expect(letter.isRedelivered == (count > 0), "\(before), \(end)")
                    #expect(letter.deliveryCount == (way.target == .quorum ? count : 0), "\(before), \(end)")
                }
            }
        }

        @Test(arguments: ConformanceBroker.all, QueueKind.common)
        func `A dead letter for a waiting consumer of a classic queue counts as new`(
            _ broker: ConformanceBroker,
            _ source: QueueKind
        ) async throws {
            let dead = try await broker.queue(.classic)
            let queue = try await broker.queue(source, deadLettersTo: dead)
            let consumer = try await broker.consume(dead, prefetch: 1)
            try await broker.publish("a", to: queue)
            try await broker.get(queue).reject(requeue: false)
            #expect(try await !consumer.next().isRedelivered)
        }

        private func letter(
            _ broker: ConformanceBroker,
            _ way: Way,
            _ before: Before,
            _ end: End
        ) async throws -> Delivery {
            let dead = try await broker.queue(way.target)
            let queue = try await broker.queue(way.source, deadLettersTo: dead) {
                if end == .overflow { $0.maxLength = 1 }
            }
            try await broker.publish("a", to: queue)
            switch before {
            case .nothing: break
            case .nackedToQueue: try await broker.get(queue).nack(requeue: true)
            case .rejectedToQueue: try await broker.get(queue).reject(requeue: true)
            case .consumerLost:
                let consumer = try await broker.consume(queue, prefetch: 1)
                _ = try await consumer.next()
                await consumer.stream.cancel(requeuesUnsettled: true)
            }
            switch end {
            case .nack: try await broker.get(queue).nack(requeue: false)
            case .reject: try await broker.get(queue).reject(requeue: false)
            case .overflow: try await broker.publish("b", to: queue)
            }
            let letter = try await broker.get(dead)
            letter.ack()
            return letter
        }

        private func count(_ counted: BrokerFeatures.DeadLetterCount, _ before: Before, _ end: End) -> Int64 {
            let isLost = before == .consumerLost ? 1 : 0
            let isRejectedBefore = before == .rejectedToQueue ? 1 : 0
            let isRejected = end == .reject ? 1 : 0
            let isDiscarded = end == .overflow ? 0 : 1
            return switch counted {
            case .nothing: 0
            case .lossesAndDiscard: Int64(isLost + isDiscarded)
            case .lossesAndRejects: Int64(isLost + isRejectedBefore + isRejected)
            }
        }
    }
}
