import AMQP
import Testing
import Warren

extension Conformance {
    /// Delays at the broker: on Warren's delay ladder, and on one with short levels.
    @Suite struct DelayLadderTests {
        @Test(arguments: ConformanceBroker.all)
        func `Messages leave the ladder after their delays, in that order`(
            _ broker: ConformanceBroker
        ) async throws {
            _ = try await DelayLadder.plan.apply(to: broker.transport)
            let queue = try await broker.queue(.quorum)
            try await broker.transport.bind(DelayLadder.binding(for: queue))
            let start = ContinuousClock.now
            // Far enough apart to arrive in the order of their delays, however long publishing takes.
            for seconds in [6, 1, 2] {
                let way = try #require(DelayLadder.route(.seconds(seconds), to: queue))
                try await broker.publish("\(seconds)", to: way)
            }
            try await broker.pass(.milliseconds(700))
            let early = try await broker.ready(queue)
            // On a machine that took longer, the first may be due already.
            #expect(early == 0 || ContinuousClock.now - start >= .seconds(1))
            for seconds in [1, 2, 6] {
                let delivery = try await broker.get(queue)
                #expect(delivery.text == "\(seconds)")
                #expect(DelayLadder.destination(fromRoutingKey: delivery.destination.routingKey) == queue)
                delivery.ack()
            }
        }

        @Test(arguments: ConformanceBroker.all)
        func `A message for an unbound destination leaves the ladder where it can be found`(
            _ broker: ConformanceBroker
        ) async throws {
            _ = try await DelayLadder.plan.apply(to: broker.transport)
            let destination = broker.name("nobody")
            let way = try #require(DelayLadder.route(.seconds(1), to: destination))
            try await broker.publish(destination, to: way)
            var found = false
            // Other cases' messages may be there too.
            try await broker.eventually {
                while !found, let delivery = try await broker.transport.get(queue: DelayLadder.unroutedName) {
                    found = delivery.text == destination
                    if found { delivery.ack() }
                }
                return found
            }
        }

        /// Declares a ladder with levels of 80 ms · 2ⁿ like Warren's; returns its exchanges, the delivery exchange
        /// last.
        private func ladder(_ broker: ConformanceBroker, levels: Int) async throws -> [String] {
            var exchanges = [try await broker.exchange(.topic)]
            for level in 0..<levels {
                let below = exchanges[0]
                let exchange = try await broker.exchange(.topic)
                let queue = try await broker.queue(.quorum) {
                    $0.messageTTL = .milliseconds(80 << level)
                    $0.deadLetterExchange = below
                    $0.deadLetterStrategy = .atLeastOnce
                    $0.overflow = .rejectPublish
                }
                let stars = String(repeating: "*.", count: levels - 1 - level)
                try await broker.bind(queue, to: exchange, stars + "1.#")
                try await broker.bind(exchange: below, to: exchange, stars + "0.#")
                exchanges.insert(exchange, at: 0)
            }
            return exchanges
        }

        @Test(arguments: ConformanceBroker.all)
        func `Each digit of a key adds its level's delay`(_ broker: ConformanceBroker) async throws {
            let exchanges = try await ladder(broker, levels: 4)
            let queue = try await broker.queue()
            try await broker.bind(queue, to: exchanges[4], "*.*.*.*." + queue)
            for digits in ["1.0.1.0", "0.1.0.0", "0.0.0.1", "0.0.0.0"] {
                try await broker.publish(
                    digits,
                    to: Destination(exchange: exchanges[0], routingKey: "\(digits).\(queue)")
                )
            }
            var deaths: [String: Int] = [:]
            for _ in 0..<4 {
                let message = try await broker.take(queue)
                deaths[message.text] = message.deaths.count
            }
            #expect(deaths == ["0.0.0.0": 0, "0.0.0.1": 1, "0.1.0.0": 1, "1.0.1.0": 2])
        }

        @Test(arguments: ConformanceBroker.all)
        func `A destination gets only its own messages`(_ broker: ConformanceBroker) async throws {
            let exchanges = try await ladder(broker, levels: 2)
            let orders = try await broker.queue()
            let european = try await broker.queue()
            try await broker.bind(orders, to: exchanges[2], "*.*.orders")
            try await broker.bind(european, to: exchanges[2], "*.*.eu.orders")
            for key in ["0.1.orders", "0.1.eu.orders"] {
                try await broker.publish(key, to: Destination(exchange: exchanges[1], routingKey: key))
            }
            #expect(try await broker.take(european).text == "0.1.eu.orders")
            #expect(try await broker.take(orders).text == "0.1.orders")
            #expect(try await broker.ready(orders) == 0)
        }
    }
}
