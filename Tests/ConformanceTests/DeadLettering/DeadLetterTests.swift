import AMQP
import Testing

extension Conformance {
    /// The causes of dead-lettering, and the routing of dead letters.
    @Suite struct DeadLetterTests {
        @Test(arguments: ConformanceBroker.all, QueueKind.common)
        func `A rejected message goes to the dead-letter exchange`(
            _ broker: ConformanceBroker,
            _ kind: QueueKind
        ) async throws {
            let dead = try await broker.queue()
            let queue = try await broker.queue(kind, deadLettersTo: dead)
            try await broker.publish(["a", "b"], to: queue)
            try await broker.get(queue).nack(requeue: false)
            try await broker.waitForReady(1, in: dead)
            try await broker.get(queue).reject(requeue: false)
            try await broker.waitForReady(2, in: dead)
            for text in ["a", "b"] {
                let letter = try await broker.take(dead)
                #expect(letter.text == text)
                #expect(letter.deaths.first?["reason"] == "rejected")
            }
        }

        @Test(arguments: ConformanceBroker.all, QueueKind.common)
        func `An expired message goes to the dead-letter exchange`(
            _ broker: ConformanceBroker,
            _ kind: QueueKind
        ) async throws {
            let dead = try await broker.queue()
            let queue = try await broker.queue(kind, deadLettersTo: dead) { $0.messageTTL = .milliseconds(50) }
            try await broker.publish("a", to: queue)
            let letter = try await broker.take(dead)
            #expect(letter.text == "a")
            #expect(letter.deaths.first?["reason"] == "expired")
        }

        @Test(arguments: ConformanceBroker.all, QueueKind.common)
        func `A surplus message goes to the dead-letter exchange`(
            _ broker: ConformanceBroker,
            _ kind: QueueKind
        ) async throws {
            let dead = try await broker.queue()
            let queue = try await broker.queue(kind, deadLettersTo: dead) { $0.maxLength = 1 }
            try await broker.publish(["a", "b"], to: queue)
            let letter = try await broker.take(dead)
            #expect(letter.text == "a")
            #expect(letter.deaths.first?["reason"] == "maxlen")
            try await broker.expect(queue, holds: ["b"])
        }

        @Test(arguments: ConformanceBroker.all)
        func `An acknowledged or requeued message is not dead-lettered`(_ broker: ConformanceBroker) async throws {
            let dead = try await broker.queue()
            let queue = try await broker.queue(.classic, deadLettersTo: dead)
            try await broker.publish(["a", "b"], to: queue)
            try await broker.get(queue).ack()
            try await broker.get(queue).nack(requeue: true)
            _ = try await broker.take(queue)
            try await broker.pass(.milliseconds(20))
            #expect(try await broker.ready(dead) == 0)
        }

        @Test(arguments: ConformanceBroker.all, QueueKind.common)
        func `A dead letter keeps its key if the queue sets none`(
            _ broker: ConformanceBroker,
            _ kind: QueueKind
        ) async throws {
            let exchange = try await broker.exchange(.topic)
            let queue = try await broker.queue(kind) { $0.deadLetterExchange = exchange }
            let dead = try await broker.queue()
            try await broker.bind(queue, to: exchange, "job.#")
            try await broker.bind(dead, to: exchange, "#")
            try await broker.publish("a", to: Destination(exchange: exchange, routingKey: "job.mail"))
            _ = try await broker.take(dead)
            try await broker.get(queue).nack(requeue: false)
            let letter = try await broker.get(dead)
            #expect(letter.destination == Destination(exchange: exchange, routingKey: "job.mail"))
        }

        @Test(arguments: ConformanceBroker.all, QueueKind.common)
        func `A dead letter gets the queue's key if there is one`(
            _ broker: ConformanceBroker,
            _ kind: QueueKind
        ) async throws {
            let exchange = try await broker.exchange(.direct)
            let queue = try await broker.queue(kind) {
                $0.deadLetterExchange = exchange
                $0.deadLetterRoutingKey = "dead"
            }
            let dead = try await broker.queue()
            try await broker.bind(dead, to: exchange, "dead")
            try await broker.publish("a", to: queue)
            try await broker.get(queue).nack(requeue: false)
            let letter = try await broker.get(dead)
            #expect(letter.destination == Destination(exchange: exchange, routingKey: "dead"))
            #expect(letter.message.deaths.first?["routing-keys"] == .array([.string(queue)]))
        }

        @Test(arguments: ConformanceBroker.all)
        func `A dead letter goes to every bound queue`(_ broker: ConformanceBroker) async throws {
            let exchange = try await broker.exchange()
            let queue = try await broker.queue(.classic) { $0.deadLetterExchange = exchange }
            let dead = [try await broker.queue(), try await broker.queue(.quorum)]
            for queue in dead { try await broker.bind(queue, to: exchange) }
            try await broker.publish("a", to: queue)
            try await broker.get(queue).nack(requeue: false)
            for queue in dead { #expect(try await broker.take(queue).text == "a") }
        }

        @Test(arguments: ConformanceBroker.all, QueueKind.common)
        func `A dead letter for a missing exchange is dropped`(
            _ broker: ConformanceBroker,
            _ kind: QueueKind
        ) async throws {
            let queue = try await broker.queue(kind) { $0.deadLetterExchange = broker.name("nowhere") }
            try await broker.publish(["a", "b"], to: queue)
            try await broker.get(queue).nack(requeue: false)
            #expect(try await broker.take(queue).text == "b")
            #expect(try await broker.ready(queue) == 0)
        }

        @Test(arguments: ConformanceBroker.all, QueueKind.common)
        func `An unroutable dead letter is dropped`(_ broker: ConformanceBroker, _ kind: QueueKind) async throws {
            let exchange = try await broker.exchange()
            let queue = try await broker.queue(kind) { $0.deadLetterExchange = exchange }
            try await broker.publish(["a", "b"], to: queue)
            try await broker.get(queue).nack(requeue: false)
            #expect(try await broker.take(queue).text == "b")
        }

        @Test(arguments: ConformanceBroker.all)
        func `A dead letter can go through an alternate exchange`(_ broker: ConformanceBroker) async throws {
            let rest = try await broker.exchange()
            let exchange = try await broker.exchange(.direct) { $0.alternateExchange = rest }
            let queue = try await broker.queue(.classic) { $0.deadLetterExchange = exchange }
            let dead = try await broker.queue()
            try await broker.bind(dead, to: rest)
            try await broker.publish("a", to: queue)
            try await broker.get(queue).nack(requeue: false)
            #expect(try await broker.take(dead).text == "a")
        }

        @Test(arguments: ConformanceBroker.all)
        func `A quorum queue can dead-letter at least once`(_ broker: ConformanceBroker) async throws {
            for (reason, life) in [("rejected", nil), ("expired", Duration.milliseconds(50))] {
                let dead = try await broker.queue(.quorum)
                let queue = try await broker.queue(.quorum, deadLettersTo: dead) {
                    $0.deadLetterStrategy = .atLeastOnce
                    $0.overflow = .rejectPublish
                    $0.messageTTL = life
                }
                try await broker.publish("a", to: queue)
                if life == nil { try await broker.get(queue).nack(requeue: false) }
                let letter = try await broker.take(dead)
                #expect(letter.text == "a")
                #expect(letter.deaths.first?["reason"] == .string(reason))
            }
        }

        @Test(arguments: ConformanceBroker.all)
        func `A full queue for dead letters drops its oldest`(_ broker: ConformanceBroker) async throws {
            let dead = try await broker.queue(.classic) { $0.maxLength = 2 }
            let queue = try await broker.queue(.classic, deadLettersTo: dead)
            try await broker.publish(["a", "b", "c"], to: queue)
            for _ in 0..<3 { try await broker.get(queue).nack(requeue: false) }
            try await broker.waitForReady(0, in: queue)
            try await broker.waitForReady(2, in: dead)
            try await broker.pass(.milliseconds(20))
            try await broker.expect(dead, holds: ["b", "c"])
        }
    }
}

extension ConformanceBroker {
    /// Declares a queue whose dead letters go to another queue, through the default exchange.
    func queue(
        _ kind: QueueKind,
        deadLettersTo dead: String,
        _ configure: (inout QueueArguments) -> Void = { _ in }
    ) async throws -> String {
        try await queue(kind) {
            $0.deadLetterExchange = ""
            $0.deadLetterRoutingKey = dead
            configure(&$0)
        }
    }
}
