import AMQP
import EmbeddedBroker
import Testing

@testable import EmbeddedStore

@Suite struct PendingChangesTests {
    private func stored(_ position: UInt64, requeues: Int = 0) -> PersistedMessage {
        PersistedMessage(
            queue: "q",
            position: position,
            message: Message(body: []),
            destination: .queue("q"),
            requeueCount: requeues
        )
    }

    private func folded(_ changes: [BrokerChange]) -> PendingChanges {
        var pending = PendingChanges()
        for change in changes { pending.add(change) }
        return pending
    }

    @Test func `Only the last change of each message is kept`() {
        let messages = folded([
            .messageStored(stored(1)), .messageDelivered(queue: "q", position: 1),
            .messageStored(stored(2)), .messageDelivered(queue: "q", position: 2),
            .messageStored(stored(2, requeues: 1)),
            .messageStored(stored(3)), .messageRemoved(queue: "q", position: 3),
            .messageDelivered(queue: "q", position: 4),
        ]).queues["q"]?.messages
        #expect(
            messages == [
                1: .stored(stored(1), isUnsettled: true), 2: .stored(stored(2, requeues: 1), isUnsettled: false),
                3: .removed,
                4: .delivered,
            ]
        )
    }

    @Test func `Deleting a queue drops its messages, and a new queue of its name starts empty`() {
        let pending = folded([
            .messageStored(stored(1)), .queueDeleted("q"), .queueDeclared(QueueDeclaration("q")),
            .messageStored(stored(7)),
        ])
        #expect(pending.queues["q"]?.isReplaced == true)
        #expect(pending.queues["q"]?.declaration == QueueDeclaration("q"))
        #expect(pending.queues["q"]?.messages == [7: .stored(stored(7), isUnsettled: false)])
    }

    @Test func `Changes in two parts give the same result as in one`() {
        let binding = Binding(from: "e", to: .queue("q"), routingKey: "k")
        let all: [BrokerChange] = [
            .exchangeDeclared(ExchangeDeclaration("e", kind: .fanout)), .queueDeclared(QueueDeclaration("q")),
            .bound(binding), .messageStored(stored(1)), .messageDelivered(queue: "q", position: 1),
            .messageStored(stored(2)),
            .messageRemoved(queue: "q", position: 1), .unbound(binding), .queueDeleted("q"), .exchangeDeleted("e"),
            .queueDeclared(QueueDeclaration("q")), .messageStored(stored(3)), .bound(binding),
            .messageDelivered(queue: "q", position: 3),
        ]
        for place in all.indices {
            var parts = folded(Array(all[..<place]))
            parts.add(folded(Array(all[place...])))
            #expect(parts == folded(all))
        }
    }

    @Test func `A repeated change takes no more memory`() {
        var pending = PendingChanges()
        for requeues in 0..<1_000 {
            pending.add(.messageStored(stored(1, requeues: requeues)))
            pending.add(.messageDelivered(queue: "q", position: 1))
            pending.add(.queueDeclared(QueueDeclaration("other")))
            pending.add(.queueDeleted("other"))
        }
        #expect(pending.queues.count == 2)
        #expect(pending.queues["q"]?.messages.count == 1)
    }

    @Test func `Times are rounded up to microseconds and never overflow`() {
        #expect(Duration.nanoseconds(1_001).microsecondsRoundedUp == 2)
        #expect(Duration.microseconds(5).microsecondsRoundedUp == 5)
        #expect(Duration.seconds(Int64.max).microsecondsRoundedUp == .max)
    }
}
