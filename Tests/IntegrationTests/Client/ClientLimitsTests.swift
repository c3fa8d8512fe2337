import AMQP
import Foundation
import RabbitMQ
import TestSupport
import Testing

/// Limits and refusals of a broker, and whom they concern.
@Suite(.needsBroker, .privateBrokers, .timeLimit(.minutes(15)), .serialized)
struct ClientLimitsTests {
    @Test func `A broker with small limits, few permissions and a stream`() async throws {
        try await PrivateBroker.run { broker in
            try await broker.stop()
            let settings = TestBroker.root.appending(path: ".broker/\(broker.name)/node-1/conf.d/limits.conf")
            try "channel_max = 64\nframe_max = 8192\n".write(to: settings, atomically: true, encoding: .utf8)
            try await broker.start()
            try await frames(broker)
            try await channels(broker)
            try await refusals(broker)
            try await stream(broker)
        }
    }

    /// Headers larger than a frame fail alone, and bodies are cut to the broker's frames.
    private func frames(_ broker: PrivateBroker) async throws {
        try await withClient(url: broker.url) { client in
            try await client.declare(QueueDeclaration("letters"))
            var large = Message(body: [1])
            large.properties.headers = ["long": .string(String(repeating: "x", count: 9000))]
            let body = (0..<100_000).map { UInt8(truncatingIfNeeded: $0 &* 31) }
            for _ in 1...3 {
                async let other: Void = client.publish(Message(body: body), to: .queue("letters"))
                let error = try await amqpError { try await client.publish(large, to: .queue("letters")) }
                #expect(error.code == .messageTooLarge)
                try await other
            }
            #expect(client.statistics.reconnects == 0)
            #expect(try await client.get(queue: "letters")?.message.body == body)
        }
    }

    /// Consumers beyond the negotiated number of channels, or the user's, fail alone.
    private func channels(_ broker: PrivateBroker) async throws {
        try await withClient(url: broker.url) { client in
            var streams: [DeliveryStream] = []
            for _ in 1...61 { streams.append(try await client.consume(queue: "letters", prefetch: 1)) }
            let error = try await amqpError { _ = try await client.consume(queue: "letters", prefetch: 1) }
            #expect(error.code == .refused)
            #expect(error.message.contains("All 64 channels"))
            #expect(client.statistics.reconnects == 0)
            for stream in streams { #expect(stream.isRegistered) }
        }
        try await broker.ctl("set_user_limits", "guest", #"{"max-channels": 3}"#)
        try await withClient(url: broker.url) { client in
            var streams: [DeliveryStream] = []
            let error = try await amqpError {
                while streams.count < 64 { streams.append(try await client.consume(queue: "letters", prefetch: 1)) }
            }
            #expect(error.code == .refused)
            #expect(error.reply?.code == 530, "\(error)")
            #expect(!streams.isEmpty)
            try await until { client.statistics.reconnects == 1 && streams.allSatisfy { $0.isRegistered } }
        }
        try await broker.ctl("clear_user_limits", "guest", "max-channels")
    }

    /// A refused publish fails alone among many, in the broker's words.
    private func refusals(_ broker: PrivateBroker) async throws {
        try await broker.ctl("set_topic_permissions", "guest", "topics", "^right", ".*")
        try await broker.ctl("add_user", "ada", "ada")
        try await broker.ctl("set_permissions", "ada", ".*", "^(letters|amq.default|topics)$", ".*")
        try await withClient(url: broker.url) { client in
            try await client.declare(ExchangeDeclaration("topics", kind: .topic))
            var asBob = Message(body: [1])
            asBob.properties.userID = "bob"
            var malformed = Message(body: [1])
            malformed.properties.headers = ["CC": "not an array"]
            let cases: [(Message, Destination, AMQPError.Code, String)] = [
                (Message(body: [1]), Destination(exchange: "topics", routingKey: "wrong"), .accessRefused, "topic"),
                (asBob, .queue("letters"), .refused, "user_id"), (malformed, .queue("letters"), .refused, "CC"),
                (Message(body: [1]), Destination(exchange: "nowhere", routingKey: "x"), .notFound, "nowhere"),
            ]
            for (message, destination, code, word) in cases {
                let failures = await failures(of: message, to: destination, among: 200, client)
                #expect(failures.map(\.code) == [code, code], "\(failures)")
                for failure in failures { #expect(failure.message.contains(word), "\(failure)") }
            }
            #expect(client.statistics.reconnects == 0)
        }
    }

    /// Publishes many good messages and two bad ones at once, and returns the errors.
    private func failures(
        of message: Message,
        to destination: Destination,
        among count: Int,
        _ client: RabbitMQClient
    ) async -> [AMQPError] {
        await withTaskGroup(of: AMQPError?.self) { group in
            for number in 0..<count {
                let isBad = number == 50 || number == 150
                let good: Destination =
                    number % 2 == 1 ? Destination(exchange: "topics", routingKey: "right.\(number)") : .queue("letters")
                group.addTask {
                    do throws(AMQPError) {
                        try await client.publish(
                            isBad ? message : Message(body: [2]),
                            to: isBad ? destination : good,
                            mandatory: false
                        )
                        return nil
                    } catch {
                        return error
                    }
                }
            }
            var errors: [AMQPError] = []
            for await case let error? in group { errors.append(error) }
            return errors
        }
    }

    /// A recovered consumer of a stream skips nothing that was published meanwhile, and repeats only what wasn't
    /// settled.
    private func stream(_ broker: PrivateBroker) async throws {
        try await withClient(url: broker.url) { client in
            try await client.declare(QueueDeclaration("log", arguments: QueueArguments(.stream)))
            for number in 1...5 as ClosedRange<UInt8> {
                try await client.publish(Message(body: [number]), to: .queue("log"))
            }
            let stream = try await client.consume(queue: "log", prefetch: 3, arguments: ["x-stream-offset": "first"])
            var reader = stream.makeAsyncIterator()
            var seen: [UInt8] = []
            while seen.count < 4, let delivery = try await reader.next() {
                seen += delivery.message.body
                if seen.count < 4 { delivery.ack() }
            }
            try await broker.ctl("close_all_connections", "test")
            for number in 6...8 as ClosedRange<UInt8> {
                try await client.publish(Message(body: [number]), to: .queue("log"))
            }
            while seen.last != 8, let delivery = try await reader.next() {
                seen += delivery.message.body
                delivery.ack()
            }
            #expect(seen == [1, 2, 3, 4, 4, 5, 6, 7, 8])
            await stream.cancel(requeuesUnsettled: true)
        }
    }
}
