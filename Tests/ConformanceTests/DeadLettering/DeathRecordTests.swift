import AMQP
import Testing

extension Conformance {
    /// The headers of a dead letter.
    @Suite struct DeathRecordTests {
        @Test(arguments: ConformanceBroker.all, QueueKind.common)
        func `A death record has all its details`(
            _ broker: ConformanceBroker,
            _ kind: QueueKind
        ) async throws {
            let dead = try await broker.queue()
            let queue = try await broker.queue(kind, deadLettersTo: dead)
            let exchange = try await broker.exchange(.direct)
            try await broker.bind(queue, to: exchange, "key")
            try await broker.publish("a", to: Destination(exchange: exchange, routingKey: "key"))
            try await broker.get(queue).nack(requeue: false)
            let letter = try await broker.take(dead)
            #expect(letter.deaths.count == 1)
            var death = try #require(letter.deaths.first)
            guard case .timestamp(let time) = death["time"] else {
                Issue.record("a time is missing: \(death)")
                return
            }
            #expect(time > 1_500_000_000, "seconds since 1970")
            death["time"] = nil
            #expect(
                death == [
                    "count": .int64(1), "exchange": .string(exchange), "queue": .string(queue), "reason": "rejected",
                    "routing-keys": ["key"],
                ]
            )
        }

        @Test(arguments: ConformanceBroker.all, QueueKind.common)
        func `The first death has separate headers`(_ broker: ConformanceBroker, _ kind: QueueKind) async throws {
            let dead = try await broker.queue()
            let second = try await broker.queue(kind, deadLettersTo: dead) { $0.messageTTL = .milliseconds(30) }
            let first = try await broker.queue(kind, deadLettersTo: second)
            let exchange = try await broker.exchange()
            try await broker.bind(first, to: exchange)
            try await broker.publish("a", to: Destination(exchange: exchange, routingKey: "key"))
            try await broker.get(first).nack(requeue: false)
            let letter = try await broker.take(dead)
            #expect(letter.header("x-first-death-reason") == "rejected")
            #expect(letter.header("x-first-death-queue") == .string(first))
            #expect(letter.header("x-first-death-exchange") == .string(exchange))
        }

        @Test(arguments: ConformanceBroker.all, QueueKind.common)
        func `Late versions have separate headers for the last death`(
            _ broker: ConformanceBroker,
            _ kind: QueueKind
        ) async throws {
            let dead = try await broker.queue()
            let second = try await broker.queue(kind, deadLettersTo: dead) { $0.messageTTL = .milliseconds(30) }
            let first = try await broker.queue(kind, deadLettersTo: second)
            try await broker.publish("a", to: first)
            try await broker.get(first).nack(requeue: false)
            let letter = try await broker.take(dead)
            let isMarked = broker.features.marksLastDeath
            #expect(letter.header("x-last-death-reason") == (isMarked ? "expired" : nil))
            #expect(letter.header("x-last-death-queue") == (isMarked ? .string(second) : nil))
            #expect(letter.header("x-last-death-exchange") == (isMarked ? "" : nil))
        }

        @Test(arguments: ConformanceBroker.all, QueueKind.common)
        func `The latest death comes first`(_ broker: ConformanceBroker, _ kind: QueueKind) async throws {
            let dead = try await broker.queue()
            let third = try await broker.queue(kind, deadLettersTo: dead) { $0.messageTTL = .milliseconds(30) }
            let second = try await broker.queue(kind, deadLettersTo: third) { $0.messageTTL = .milliseconds(30) }
            let first = try await broker.queue(kind, deadLettersTo: second)
            try await broker.publish("a", to: first)
            try await broker.get(first).nack(requeue: false)
            let letter = try await broker.take(dead)
            #expect(letter.deaths.count == 3)
            #expect(letter.deaths.first?["queue"] == .string(third))
            // Behind the latest record, 3.10 reverses the order at each death; only later versions keep it.
            for (queue, reason) in [(third, "expired"), (second, "expired"), (first, "rejected")] {
                let death = letter.deaths.first { $0["queue"] == .string(queue) }
                #expect(death?["reason"] == .string(reason))
                #expect(death?["count"] == .int64(1))
                #expect(death?["exchange"] == "")
                #expect(death?["routing-keys"] == .array([.string(queue)]))
            }
        }

        @Test(arguments: ConformanceBroker.all, QueueKind.common)
        func `The same death again increments its record's count`(
            _ broker: ConformanceBroker,
            _ kind: QueueKind
        ) async throws {
            let queue = broker.name("queue")
            let arguments = QueueArguments(kind) {
                $0.deadLetterExchange = ""
                $0.deadLetterRoutingKey = queue
            }
            try await broker.declare(QueueDeclaration(queue, arguments: arguments))
            try await broker.publish("a", to: queue)
            for count in 1...3 {
                try await broker.get(queue).nack(requeue: false)
                let letter = try await broker.get(queue)
                #expect(letter.message.deaths.count == 1)
                #expect(letter.message.deaths.first?["count"]?.integerValue == Int64(count))
                // (4.0.5 marks it as redelivered if the queue is a quorum queue; the others don't.)
                letter.nack(requeue: true)
                // It is ready again before it is taken again.
                try await broker.waitForReady(1, in: queue)
            }
        }

        @Test(arguments: ConformanceBroker.all)
        func `A death for another reason in the same queue is another record`(_ broker: ConformanceBroker) async throws
        {
            let dead = try await broker.queue()
            let queue = try await broker.queue(.classic, deadLettersTo: dead)
            try await broker.publish("a", to: queue) { $0.expiration = "30" }
            var letter = try await broker.take(dead)
            // The records of a message that is published again count if the broker reads them.
            letter.properties.messageID = "again"
            try await broker.transport.publish(
                letter,
                to: .queue(queue),
                mandatory: true,
                deadline: .now + .seconds(60)
            )
            try await broker.get(queue).nack(requeue: false)
            let again = try await broker.take(dead)
            let reasons = again.deaths.map { $0["reason"]?.stringValue }
            #expect(
                reasons == (broker.features.interpretsPublishedDeathHeaders ? ["rejected", "expired"] : ["rejected"])
            )
        }

        @Test(arguments: ConformanceBroker.all, QueueKind.common)
        func `An expiration is removed from the message and recorded`(
            _ broker: ConformanceBroker,
            _ kind: QueueKind
        ) async throws {
            let dead = try await broker.queue()
            let queue = try await broker.queue(kind, deadLettersTo: dead)
            try await broker.publish("a", to: queue) { $0.expiration = "30" }
            let letter = try await broker.take(dead)
            #expect(letter.properties.expiration == nil)
            #expect(letter.deaths.first?["original-expiration"] == "30")
        }

        @Test(arguments: ConformanceBroker.all, QueueKind.common)
        func `A dead letter keeps its properties and headers`(
            _ broker: ConformanceBroker,
            _ kind: QueueKind
        ) async throws {
            let dead = try await broker.queue()
            let queue = try await broker.queue(kind, deadLettersTo: dead)
            try await broker.publish("a", to: queue) {
                $0.deliveryMode = .persistent
                $0.messageID = "m"
                $0.correlationID = "c"
                $0.contentType = "text/plain"
                $0.priority = 3
                $0.timestamp = 17
                $0.headers = ["mine": ["kept": true]]
            }
            try await broker.get(queue).nack(requeue: false)
            let letter = try await broker.take(dead).properties
            #expect(letter.deliveryMode == .persistent)
            #expect(letter.messageID == "m")
            #expect(letter.correlationID == "c")
            #expect(letter.contentType == "text/plain")
            #expect(letter.priority == 3)
            #expect(letter.timestamp == 17)
            #expect(letter.headers?["mine"] == ["kept": true])
        }

        @Test(arguments: ConformanceBroker.all)
        func `A dead letter is not marked as redelivered`(_ broker: ConformanceBroker) async throws {
            let dead = try await broker.queue()
            let queue = try await broker.queue(.classic, deadLettersTo: dead)
            try await broker.publish("a", to: queue)
            try await broker.get(queue).nack(requeue: true)
            try await broker.get(queue).nack(requeue: false)
            #expect(try await !broker.get(dead).isRedelivered)
        }

        @Test(arguments: ConformanceBroker.all, QueueKind.common)
        func `A message that expires in a cycle is dropped`(
            _ broker: ConformanceBroker,
            _ kind: QueueKind
        ) async throws {
            let (one, two) = (broker.name("one"), broker.name("two"))
            for (name, next) in [(one, two), (two, one)] {
                let arguments = QueueArguments(kind) {
                    $0.messageTTL = .milliseconds(40)
                    $0.deadLetterExchange = ""
                    $0.deadLetterRoutingKey = next
                }
                try await broker.declare(QueueDeclaration(name, arguments: arguments))
            }
            try await broker.publish("a", to: one)
            try await broker.pass(.milliseconds(200))
            try await broker.waitForReady(0, in: one)
            try await broker.waitForReady(0, in: two)
            #expect(try await broker.ready(one) == 0)
        }

        @Test(arguments: ConformanceBroker.all, QueueKind.common)
        func `A message that is rejected on its cycle goes on`(
            _ broker: ConformanceBroker,
            _ kind: QueueKind
        ) async throws {
            let (work, wait) = (broker.name("work"), broker.name("wait"))
            for (name, next) in [(work, wait), (wait, work)] {
                let arguments = QueueArguments(kind) {
                    if name == wait { $0.messageTTL = .milliseconds(40) }
                    $0.deadLetterExchange = ""
                    $0.deadLetterRoutingKey = next
                }
                try await broker.declare(QueueDeclaration(name, arguments: arguments))
            }
            try await broker.publish("a", to: work)
            for round in 0..<3 {
                let delivery = try await broker.get(work)
                #expect(delivery.message.deaths.count == (round == 0 ? 0 : 2))
                #expect(delivery.message.deaths.allSatisfy { $0["count"]?.integerValue == Int64(round) })
                delivery.nack(requeue: false)
            }
        }
    }
}
