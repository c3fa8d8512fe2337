import AMQP
import RabbitMQ
import Testing

@Suite(.needsBroker, .timeLimit(.minutes(2)))
struct ClientPublishingTests {
    @Test func `Each publish of thousands at once is confirmed, and each arrives`() async throws {
        try await withQueue(QueueArguments(.quorum)) { client, queue in
            try await withThrowingDiscardingTaskGroup { group in
                for number in 0..<2000 {
                    group.addTask {
                        try await client.publish(Message(body: Array("\(number)".utf8)), to: .queue(queue))
                    }
                }
            }
            var seen = Set<String>()
            let deliveries = try await client.consume(queue: queue, prefetch: 500)
            for try await delivery in deliveries {
                seen.insert(String(decoding: delivery.message.body, as: UTF8.self))
                delivery.ack()
                if seen.count == 2000 { break }
            }
            await deliveries.cancel(requeuesUnsettled: true)
            #expect(seen.count == 2000)
        }
    }

    @Test func `A message keeps every property and every type of header`() async throws {
        var properties = BasicProperties()
        properties.contentType = "application/json"
        properties.contentEncoding = "utf-8"
        properties.deliveryMode = .persistent
        properties.priority = 3
        properties.correlationID = "correlation"
        properties.replyTo = "answers"
        properties.expiration = "60000"
        properties.messageID = "message"
        properties.timestamp = 1_795_232_083
        properties.type = "letter"
        properties.userID = "guest"
        properties.appID = "tests"
        properties.headers = [
            "bool": true, "int8": .int8(-8), "uint8": .uint8(200), "int16": .int16(-3000), "uint16": .uint16(60_000),
            "int32": .int32(-70_000), "uint32": .uint32(4_000_000_000), "int64": .int64(-5_000_000_000),
            "float": .float(1.5), "double": .double(-2.25), "decimal": .decimal(FieldDecimal(scale: 2, value: 1999)),
            "string": "Grüße", "bytes": .bytes([0, 255]), "timestamp": .timestamp(1), "void": .void,
            "array": [1, "two", [3]], "table": ["nested": ["deeper": true]],
        ]
        let message = Message(properties: properties, body: Array("{}".utf8))
        try await withQueue { client, queue in
            try await client.publish(message, to: .queue(queue))
            let delivery = try #require(try await client.get(queue: queue))
            #expect(delivery.message == message)
            #expect(delivery.destination == .queue(queue))
            #expect(!delivery.isRedelivered)
            delivery.ack()
        }
    }

    @Test func `A body of 16 MiB arrives whole, and one byte more is refused before it is sent`() async throws {
        try await withQueue { client, queue in
            var body = [UInt8](repeating: 0, count: Message.maximumBodySize)
            body[body.count - 1] = 7
            try await client.publish(Message(body: body), to: .queue(queue))
            let delivery = try #require(try await client.get(queue: queue))
            #expect(delivery.message.body == body)
            delivery.ack()
            body.append(8)
            let error = try await amqpError { try await client.publish(Message(body: body), to: .queue(queue)) }
            #expect(error.code == .messageTooLarge)
            #expect(error.outcomeIsKnown)
        }
    }

    @Test func `Headers that do not fit into a frame are refused before anything is sent`() async throws {
        try await withQueue { client, queue in
            var properties = BasicProperties()
            properties.headers = ["long": .string(String(repeating: "x", count: 140_000))]
            let message = Message(properties: properties, body: [1])
            let error = try await amqpError { try await client.publish(message, to: .queue(queue)) }
            #expect(error.code == .messageTooLarge)
            try await client.publish(Message(body: [1]), to: .queue(queue))
        }
    }

    @Test func `A message that no queue takes is unroutable when it is mandatory`() async throws {
        try await withClient { client in
            let error = try await amqpError { try await client.publish(Message(body: [1]), to: .queue("test-nowhere")) }
            #expect(error.code == .unroutable)
            #expect(error.outcomeIsKnown)
            #expect(error.message.contains("test-nowhere"))
            try await client.publish(Message(body: [1]), to: .queue("test-nowhere"), mandatory: false)
        }
    }

    @Test func `A missing exchange fails the publishes to it and no others`() async throws {
        try await withQueue { client, queue in
            let nowhere = Destination(exchange: "test-no-exchange", routingKey: "x")
            let failed = try await withThrowingTaskGroup(of: AMQPError.Code?.self) { group in
                for number in 0..<200 {
                    group.addTask {
                        do throws(AMQPError) {
                            try await client.publish(Message(body: [1]), to: number % 10 == 3 ? nowhere : .queue(queue))
                            return nil
                        } catch {
                            return error.code
                        }
                    }
                }
                return try await group.reduce(into: [AMQPError.Code]()) { failed, code in
                    if let code { failed.append(code) }
                }
            }
            #expect(failed == Array(repeating: .notFound, count: 20))
            // At least once: what was under way when the channel closed was sent again.
            #expect(try await client.status(ofQueue: queue).messageCount >= 180)
        }
    }

    @Test func `A full queue that rejects publishes nacks them`() async throws {
        let arguments = QueueArguments(.classic) { arguments in
            arguments.maxLength = 1
            arguments.overflow = .rejectPublish
        }
        try await withQueue(arguments) { client, queue in
            try await client.publish(Message(body: [1]), to: .queue(queue))
            let error = try await amqpError { try await client.publish(Message(body: [2]), to: .queue(queue)) }
            #expect(error.code == .nacked)
            #expect(!error.outcomeIsKnown)
            #expect(error.isRetriable)
        }
    }

    @Test func `A deadline that has passed sends nothing`() async throws {
        try await withQueue { client, queue in
            try await client.publish(Message(body: [1]), to: .queue(queue))
            let error = try await amqpError {
                try await client.publish(Message(body: [2]), to: .queue(queue), deadline: .now - .seconds(1))
            }
            #expect(error.code == .deadlineExceeded)
            #expect(error.outcomeIsKnown)
            #expect(try await client.status(ofQueue: queue).messageCount == 1)
        }
    }

    @Test func `A cancelled task's publish ends at once`() async throws {
        try await withQueue { client, queue in
            let publishing = Task {
                while true { try await client.publish(Message(body: [1]), to: .queue(queue)) }
            }
            publishing.cancel()
            await #expect(throws: AMQPError.self) { try await publishing.value }
        }
    }

    @Test func `One task publishes many at a time, and gets the result of each in order`() async throws {
        try await withQueue { client, queue in
            var taken = 0
            let messages = sequence(state: 0) { (number: inout Int) -> Message? in
                number += 1
                taken = number
                return number > 5000 ? nil : Message("\(number)")
            }
            var results = 0
            for await result in client.publish(contentsOf: messages, to: .queue(queue), window: 100) {
                try result.get()
                results += 1
                #expect(taken <= results + 100)
            }
            #expect(results == 5000)
            #expect(try await client.status(ofQueue: queue).messageCount == 5000)
            var codes: [AMQPError.Code?] = []
            let large = Message([UInt8](repeating: 1, count: Message.maximumBodySize + 1))
            for await result in client.publish(contentsOf: [Message("A"), large, Message("B")], to: .queue(queue)) {
                if case .failure(let error) = result { codes.append(error.code) } else { codes.append(nil) }
            }
            #expect(codes == [nil, .messageTooLarge, nil])
        }
    }
}
