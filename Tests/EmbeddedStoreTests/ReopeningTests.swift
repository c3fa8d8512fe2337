import AMQP
import EmbeddedBroker
import EmbeddedStore
import Testing

@Suite(.timeLimit(.minutes(1))) struct ReopeningTests {
    @Test func `Durable declarations are restored, and transient ones are not`() async throws {
        try await StoreFolder.with { folder in
            let arguments = QueueArguments(.quorum) {
                $0.deliveryLimit = 7
                $0.deadLetterExchange = "dead"
                $0.maxLength = 10
            }
            let match: FieldTable = ["x-match": "all", "size": .int32(3)]
            try await folder.run(BrokerVersion(4, 0)) { broker in
                try await broker.declare(ExchangeDeclaration("orders", kind: .topic, alternateExchange: "dead"))
                try await broker.declare(ExchangeDeclaration("dead", kind: .headers, isInternal: true))
                try await broker.declare(ExchangeDeclaration("fleeting", kind: .fanout, isDurable: false))
                try await broker.declare(ExchangeDeclaration("deleted", kind: .fanout))
                try await broker.deleteExchange("deleted")
                try await broker.declare(QueueDeclaration("work", arguments: arguments))
                try await broker.declare(QueueDeclaration("fleeting", isDurable: false))
                try await broker.declare(QueueDeclaration("own", isExclusive: true))
                try await broker.declare(QueueDeclaration("deleted"))
                try await broker.deleteQueue("deleted")
                try await broker.bind(Binding(from: "orders", to: .queue("work"), routingKey: "*.new"))
                try await broker.bind(Binding(from: "orders", to: .exchange("dead"), routingKey: "#.old"))
                try await broker.bind(Binding(from: "dead", to: .queue("work"), routingKey: "", arguments: match))
                try await broker.bind(Binding(from: "orders", to: .queue("work"), routingKey: "unbound"))
                try await broker.unbind(Binding(from: "orders", to: .queue("work"), routingKey: "unbound"))
            }
            try await folder.run(BrokerVersion(4, 0)) { broker in
                #expect(broker.queueNames == ["work"])
                #expect(broker.exchangeNames.filter { !$0.hasPrefix("amq.") } == ["", "dead", "orders"])
                // The same declarations don't mismatch.
                try await broker.declare(QueueDeclaration("work", arguments: arguments))
                try await broker.declare(ExchangeDeclaration("orders", kind: .topic, alternateExchange: "dead"))
                try await broker.declare(ExchangeDeclaration("dead", kind: .headers, isInternal: true))
                let orders = { Destination(exchange: "orders", routingKey: $0) }
                try await broker.publish(Message(id: "bound"), to: orders("blue.new"))
                try await broker.publish(Message(id: "headers") { $0.headers = ["size": 3] }, to: orders("red.old"))
                try await broker.publish(Message(id: "unbound"), to: orders("unbound"), mandatory: false)
                #expect(broker.ids(in: "work") == ["bound", "headers"])
            }
        }
    }

    @Test func `A message is restored byte by byte`() async throws {
        try await StoreFolder.with { folder in
            let message = Message(id: "full") { properties in
                properties.contentType = "application/json"
                properties.contentEncoding = "utf-8"
                properties.priority = 3
                properties.correlationID = "correlation"
                properties.replyTo = "reply"
                properties.timestamp = 1_893_456_000
                properties.type = "type"
                properties.appID = "app"
                properties.headers = [
                    "text": "ü", "whole": .int64(.min), "small": .int8(-1), "float": .double(.pi), "void": .void,
                    "bytes": .bytes([0, 255]), "nested": .table(["list": .array([.bool(true), "a", .timestamp(1)])]),
                ]
            }
            var large = Message(id: "large")
            large.body = (0..<300_000).map { UInt8(truncatingIfNeeded: $0 * 7) }
            try await folder.run { broker in
                try await broker.declare(QueueDeclaration("kept"))
                try await broker.publish(message, to: .queue("kept"))
                try await broker.publish(large, to: .queue("kept"))
                var unmarked = Message(body: [1])
                unmarked.properties.deliveryMode = nil
                try await broker.publish(unmarked, to: .queue("kept"))
                try await broker.publish(
                    Message(id: "transient") { $0.deliveryMode = .transient },
                    to: .queue("kept")
                )
            }
            try await folder.run { broker in
                #expect(broker.readyMessages(in: "kept") == [message, large])
            }
        }
    }

    @Test func `Acknowledged, purged and deleted messages stay away, and the rest keeps its order`() async throws {
        try await StoreFolder.with { folder in
            try await folder.run { broker in
                for queue in ["kept", "purged", "deleted"] {
                    try await broker.declare(QueueDeclaration(queue))
                    for number in 1...5 {
                        try await broker.publish(Message(id: "\(number)"), to: .queue(queue))
                    }
                }
                try await broker.get(queue: "kept")?.ack()
                let second = try #require(try await broker.get(queue: "kept"))
                try await broker.get(queue: "kept")?.ack()
                second.nack(requeue: true)
                try await broker.purgeQueue("purged")
                try await broker.deleteQueue("deleted")
                try await broker.declare(QueueDeclaration("deleted"))
                try await broker.publish(Message(id: "new"), to: .queue("deleted"))
            }
            for _ in 1...2 {
                try await folder.run { broker in
                    #expect(broker.ids(in: "kept") == ["2", "4", "5"])
                    #expect(broker.ids(in: "purged") == [])
                    #expect(broker.ids(in: "deleted") == ["new"])
                }
            }
        }
    }

    @Test func `After a crash what was unsettled is redelivered and has counted, and goes to the dead in the end`()
        async throws
    {
        try await StoreFolder.with { folder in
            let crashed = try await StoreFolder.with { crashed in
                let limited = QueueArguments(.quorum) {
                    $0.deliveryLimit = 2
                    $0.deadLetterExchange = ""
                    $0.deadLetterRoutingKey = "dead"
                }
                try await folder.run { broker in
                    try await broker.declare(QueueDeclaration("limited", arguments: limited))
                    try await broker.declare(QueueDeclaration("classic"))
                    try await broker.declare(QueueDeclaration("dead"))
                    for queue in ["limited", "classic"] {
                        try await broker.publish(Message(id: "taken"), to: .queue(queue))
                        try await broker.publish(Message(id: "waiting"), to: .queue(queue))
                    }
                }
                var counts: [Int64?] = []
                for _ in 1...3 {
                    try await folder.run { broker in
                        let delivery = try #require(try await broker.get(queue: "limited"))
                        #expect(delivery.message.id == "taken")
                        counts.append(delivery.message.properties.headers?["x-delivery-count"]?.integerValue)
                        let classic = try #require(try await broker.get(queue: "classic"))
                        #expect(classic.isRedelivered == (counts.count > 1))
                        // Answered when what came before is in the file.
                        try await broker.declare(QueueDeclaration("mark-\(counts.count)"))
                        try folder.copy(to: crashed)
                    }
                    try crashed.copy(to: folder)
                }
                return counts
            }
            #expect(crashed.map { $0 ?? 0 } == [0, 1, 2])
            try await folder.run { broker in
                #expect(broker.ids(in: "limited") == ["waiting"])
                #expect(broker.ids(in: "dead") == ["taken"])
                let next = try #require(try await broker.get(queue: "limited"))
                #expect(!next.isRedelivered)
            }
        }
    }

    @Test func `Messages that expired while no broker ran are dead-lettered on opening, in their order`() async throws {
        try await StoreFolder.with { folder in
            let start: Duration = .seconds(1_900_000_000)
            try await folder.run(clock: VirtualClock(beginning: start)) { broker in
                let waiting = QueueArguments(.classic) {
                    $0.messageTTL = .seconds(60)
                    $0.deadLetterExchange = ""
                    $0.deadLetterRoutingKey = "work"
                }
                try await broker.declare(QueueDeclaration("waiting", arguments: waiting))
                try await broker.declare(QueueDeclaration("work"))
                for number in 1...3 { try await broker.publish(Message(id: "\(number)"), to: .queue("waiting")) }
            }
            try await folder.run(clock: VirtualClock(beginning: start + .seconds(59))) { broker in
                #expect(broker.ids(in: "waiting") == ["1", "2", "3"])
                #expect(broker.ids(in: "work") == [])
            }
            for _ in 1...2 {
                try await folder.run(clock: VirtualClock(beginning: start + .seconds(3_600))) { broker in
                    #expect(broker.ids(in: "waiting") == [])
                    #expect(broker.ids(in: "work") == ["1", "2", "3"])
                    let death = broker.readyMessages(in: "work").first?.properties.headers?["x-death"]?.arrayValue
                    #expect(death?.first?.tableValue?["reason"] == "expired")
                }
            }
        }
    }

    @Test func `A delay on two rungs ends at its time, whenever the broker was down`() async throws {
        try await StoreFolder.with { folder in
            let start: Duration = .seconds(1_900_000_000)
            try await folder.run(clock: VirtualClock(beginning: start)) { broker in
                for (queue, seconds, next) in [("rung-8", 8, "rung-4"), ("rung-4", 4, "work")] {
                    let arguments = QueueArguments(.quorum) {
                        $0.messageTTL = .seconds(seconds)
                        $0.deadLetterExchange = ""
                        $0.deadLetterRoutingKey = next
                    }
                    try await broker.declare(QueueDeclaration(queue, arguments: arguments))
                }
                try await broker.declare(QueueDeclaration("work"))
                try await broker.publish(Message(id: "delayed"), to: .queue("rung-8"))
            }
            try await folder.run(clock: VirtualClock(beginning: start + .seconds(3))) { broker in
                #expect(broker.ids(in: "rung-8") == ["delayed"])
            }
            let clock = VirtualClock(beginning: start + .seconds(5))
            try await folder.run(clock: clock) { broker in
                clock.advance(by: .milliseconds(2_999))
                #expect(broker.ids(in: "rung-8") == ["delayed"])
                clock.advance(by: .milliseconds(1))
                #expect(broker.ids(in: "rung-4") == ["delayed"])
            }
            let later = VirtualClock(beginning: start + .seconds(11))
            try await folder.run(clock: later) { broker in
                #expect(broker.ids(in: "rung-4") == ["delayed"])
                later.advance(by: .seconds(1))
                #expect(broker.ids(in: "work") == ["delayed"])
            }
        }
    }

    @Test func `A lost connection leaves a durable auto-delete queue and its bindings in the file`() async throws {
        try await StoreFolder.with { folder in
            try await folder.run { broker in
                try await broker.declare(QueueDeclaration("shared", isAutoDelete: true))
                try await broker.bind(Binding(from: "amq.direct", to: .queue("shared"), routingKey: "key"))
                let connection = broker.connect()
                let consumer = try await connection.consume(queue: "shared", prefetch: 1)
                broker.closeConnections()
                try await broker.declare(QueueDeclaration("mark"))
                defer { withExtendedLifetime(consumer) {} }
                try await StoreFolder.with { crashed in
                    try folder.copy(to: crashed)
                    try await crashed.run { broker in
                        #expect(broker.queueNames == ["mark", "shared"])
                        try await broker.publish(
                            Message(id: "routed"),
                            to: Destination(exchange: "amq.direct", routingKey: "key")
                        )
                        #expect(broker.ids(in: "shared") == ["routed"])
                    }
                }
            }
        }
    }

    @Test func `A generated queue name is not generated again`() async throws {
        try await StoreFolder.with { folder in
            let first = try await folder.run { try await $0.declare(QueueDeclaration("")).name }
            let second = try await folder.run { try await $0.declare(QueueDeclaration("")).name }
            #expect(first != second)
        }
    }
}
