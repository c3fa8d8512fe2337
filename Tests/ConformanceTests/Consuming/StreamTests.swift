import AMQP
import Testing

// RabbitMQ closes the whole connection (540) on a get from a stream or its purging, so no case does either.
extension Conformance {
    /// Streams, as far as Warren's control stream needs them.
    @Suite struct StreamTests {
        private func stream(_ broker: ConformanceBroker, _ texts: [String]) async throws -> String {
            let stream = try await broker.queue(QueueArguments(.stream) { $0.maxAge = .seconds(3600) })
            try await broker.publish(texts, to: stream)
            return stream
        }

        @Test(arguments: ConformanceBroker.all)
        func `Each reader gets all messages from the first`(_ broker: ConformanceBroker) async throws {
            let stream = try await stream(broker, ["a", "b", "c"])
            for _ in 0..<2 {
                let reader = try await broker.consume(stream, arguments: ["x-stream-offset": "first"])
                #expect(try await reader.take(3) == ["a", "b", "c"])
                await reader.close()
            }
        }

        @Test(arguments: ConformanceBroker.all)
        func `A reader that starts with the next message gets what is published later`(
            _ broker: ConformanceBroker
        ) async throws {
            let stream = try await stream(broker, ["a", "b"])
            let reader = try await broker.consume(stream, arguments: ["x-stream-offset": "next"])
            try await broker.publish("c", to: stream)
            #expect(try await reader.take() == "c")
        }

        @Test(arguments: ConformanceBroker.all)
        func `A delivery has an offset, at which a reader can start`(_ broker: ConformanceBroker) async throws {
            let stream = try await stream(broker, ["a", "b", "c", "d"])
            let reader = try await broker.consume(stream, arguments: ["x-stream-offset": .int64(2)])
            let first = try await reader.next()
            #expect(first.text == "c")
            #expect(first.header("x-stream-offset") == .int64(2))
            first.ack()
            #expect(try await reader.take() == "d")
        }

        @Test(arguments: ConformanceBroker.all)
        func `A reader never has more unsettled deliveries than its prefetch`(_ broker: ConformanceBroker) async throws
        {
            let stream = try await stream(broker, ["a", "b", "c"])
            let reader = try await broker.consume(stream, prefetch: 1, arguments: ["x-stream-offset": "first"])
            let first = try await reader.next()
            try await reader.expectNone()
            first.ack()
            #expect(try await reader.take(2) == ["b", "c"])
        }

        @Test(arguments: ConformanceBroker.all)
        func `Consuming without a prefetch is refused`(_ broker: ConformanceBroker) async throws {
            let stream = try await stream(broker, [])
            await expectRefusal(.refused, 406) { _ = try await broker.consume(stream, prefetch: 0) }
        }
    }
}
