import AMQP
import EmbeddedBroker
import Testing

@testable import Warren

/// The ladder, and queues whose names end or begin alike.
private let ladderWithThreeQueues: TopologyPlan = {
    var plan = DelayLadder.plan
    for queue in ["orders", "eu.orders", "orders.eu"] {
        plan.add(QueueDeclaration(queue))
        plan.add(DelayLadder.binding(for: queue))
    }
    return plan
}()

@Suite struct DelayLadderTests {
    private let model = TopicModel(ladderWithThreeQueues)

    @Test func `Delays of up to 63 seconds are kept to the second`() {
        for seconds in 1...63 { #expect(DelayLadder.rounded(seconds) == seconds) }
    }

    @Test func `A message enters at the exchange of its highest bit`() throws {
        for level in 0..<28 {
            let route = try #require(DelayLadder.route(.seconds(1 << level), to: "orders"))
            #expect(route.exchange == DelayLadder.name(ofLevel: level))
        }
    }

    @Test(arguments: ["orders", "eu.orders", "orders.eu"])
    func `Destinations whose names end or begin alike get only their own`(destination: String) throws {
        let route = try #require(DelayLadder.route(.seconds(5), to: destination))
        #expect(model.arrivals(of: route).map(\.queue) == [destination])
    }

    @Test func `A message without a destination arrives in the unrouted queue, after its delay`() throws {
        let route = try #require(DelayLadder.route(.seconds(5), to: "nobody"))
        let expected = TopicModel.Arrival(queue: DelayLadder.unroutedName, seconds: 5, waits: 2)
        #expect(model.arrivals(of: route) == [expected])
    }

    @Test(arguments: [Duration.zero, .milliseconds(1), .milliseconds(999), .seconds(-5)])
    func `A delay of less than a second never goes to the ladder`(delay: Duration) {
        #expect(DelayLadder.route(delay, to: "orders") == nil)
    }

    @Test func `The fraction of a second is left to the consumer`() {
        #expect(DelayLadder.route(.milliseconds(1_999), to: "orders") == DelayLadder.route(.seconds(1), to: "orders"))
    }

    @Test func `A delay beyond the ladder's longest is cut to it`() throws {
        let route = try #require(DelayLadder.route(.seconds(1 << 40), to: "orders"))
        #expect(model.arrivals(of: route).map(\.seconds) == [(1 << 28) - 1])
    }

    @Test func `The longest destination fits into a routing key`() throws {
        let name = String(repeating: "q", count: DelayLadder.maximumDestinationLength)
        let route = try #require(DelayLadder.route(.seconds(1), to: name))
        #expect(route.routingKey.utf8.count == 255)
        #expect(DelayLadder.binding(for: name).routingKey.utf8.count == 255)
    }

    @Test(arguments: ["orders", "eu.orders", "0.1.orders"])
    func `Stripping the digits returns the destination`(destination: String) throws {
        let route = try #require(DelayLadder.route(.seconds(12_345), to: destination))
        #expect(DelayLadder.destination(fromRoutingKey: route.routingKey) == destination)
    }

    @Test(arguments: [
        "", "orders", "0.1.0.orders", String(repeating: "0.", count: 28), String(repeating: "2.", count: 28) + "orders",
        String(repeating: "0-", count: 28) + "orders", "é" + String(repeating: "0.", count: 28) + "orders",
    ])
    func `A key that isn't the ladder's is not taken for one`(key: String) {
        #expect(DelayLadder.destination(fromRoutingKey: key) == nil)
    }

    @Test func `The ladder has 28 levels, each with an exchange, a queue and two bindings`() {
        #expect(DelayLadder.plan.exchanges.count == 30)
        #expect(DelayLadder.plan.queues.count == 29)
        #expect(DelayLadder.plan.steps.count == 4 + 4 * 28)
    }
}

@Suite struct DelayLadderPropertyTests {
    private let model = TopicModel(ladderWithThreeQueues)

    /// Every delay of up to 300 s, each power of two and its neighbours, and a thousand spread over the rest.
    private static let delays: [Int] = {
        let powers = (0..<28).flatMap { [(1 << $0) - 1, 1 << $0, (1 << $0) + 1] }
        let spread = (1...1_000).map { $0 * 268_435 }
        return Set(Array(1...300) + powers + spread).filter { $0 > 0 && $0 < 1 << 28 }.sorted()
    }()

    @Test func `An exact delay arrives at its destination and nowhere else, after that many seconds`()
        async throws
    {
        for seconds in Self.delays {
            await Task.yield()
            let route = try #require(DelayLadder.route(.seconds(seconds), to: "orders", exactly: true))
            let expected = TopicModel.Arrival(queue: "orders", seconds: seconds, waits: seconds.nonzeroBitCount)
            #expect(model.arrivals(of: route) == [expected])
        }
    }

    @Test func `A rounded delay is never early, less than a 32nd late, and waits at six levels at most`()
        async throws
    {
        for seconds in Self.delays {
            await Task.yield()
            let route = try #require(DelayLadder.route(.seconds(seconds), to: "orders"))
            let arrivals = model.arrivals(of: route)
            let arrival = try #require(arrivals.first)
            #expect(arrivals.count == 1)
            #expect(arrival.seconds >= seconds)
            if seconds < 63 << 22 {
                #expect((arrival.seconds - seconds) * 32 < seconds)
                #expect(arrival.waits <= 6)
            }
        }
    }

    @Test func `A broker takes messages down the ladder as the model does`() async throws {
        let clock = VirtualClock()
        let broker = EmbeddedBroker(clock: clock)
        _ = try await ladderWithThreeQueues.apply(to: broker)
        let routes = try Self.delays.enumerated().filter { $0.offset % 16 == 0 }.map { index, seconds in
            try #require(DelayLadder.route(.seconds(seconds), to: ["orders", "nobody"][index / 16 % 2]))
        }
        for (number, route) in routes.enumerated() {
            try await broker.publish(Message(body: [UInt8(number)]), to: route)
        }
        var arrived = 0
        repeat {
            await Task.yield()
            for queue in broker.queueNames where !queue.contains("level") {
                while let delivery = try await broker.get(queue: queue) {
                    let deaths = delivery.message.properties.headers?["x-death"]?.arrayValue ?? []
                    let arrival = TopicModel.Arrival(
                        queue: queue,
                        seconds: Int(clock.now.offset.components.seconds),
                        waits: deaths.count
                    )
                    #expect(model.arrivals(of: routes[Int(delivery.message.body[0])]) == [arrival])
                    delivery.ack()
                    arrived += 1
                }
            }
        } while clock.advanceToNextEvent()
        #expect(arrived == routes.count)
    }
}
