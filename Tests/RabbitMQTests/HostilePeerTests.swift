import AMQP
import Synchronization
import Testing

@testable import RabbitMQ

/// Brokers that break the protocol.
@Suite(.timeLimit(.minutes(1))) struct HostilePeerTests {
    @Test(arguments: [0, 2, 1 << 40, UInt64.max])
    func `A delivery with a number out of order loses the connection, and the consumer recovers`(
        tag: UInt64
    ) async throws {
        let broker = ScriptedBroker { connection, frame in
            guard frame.method == 0x003C_0014 else { return [] }
            let registered = ScriptedBroker.Frame.method(0x003C_0015, [1, UInt8(ascii: "t")], channel: frame.channel)
            return [registered] + ScriptedBroker.Frame.delivery(connection == 1 ? tag : 1, channel: frame.channel)
        }
        let client = try RabbitMQClient(url: broker.url)
        var reader = try await client.consume(queue: "letters", prefetch: 1).makeAsyncIterator()
        let delivery = try await reader.next()
        #expect(delivery?.tag == 1)
        #expect(broker.connectionCount == 2)
    }

    @Test func `A confirm on another channel than the publisher's confirms nothing`() async throws {
        let broker = ScriptedBroker { _, frame in
            guard frame.method == 0x003C_0028 else { return [] }
            let refusal = ScriptedBroker.Frame.method(0x003C_0078, [0, 0, 0, 0, 0, 0, 0, 1, 0], channel: frame.channel)
            return [.ack(1, channel: frame.channel + 6), refusal]
        }
        let client = try RabbitMQClient(url: broker.url)
        let error = await #expect(throws: AMQPError.self) {
            try await client.publish(Message(body: [1]), to: .queue("letters"))
        }
        #expect(error?.code == .nacked)
    }

    @Test func `A publisher that the broker asks to pause sends nothing until it may go on`() async throws {
        let published = Counter()
        let broker = ScriptedBroker { _, frame in
            switch frame.method {
            case 0x0014_000A:
                let opened = ScriptedBroker.Frame.method(0x0014_000B, [0, 0, 0, 0], channel: frame.channel)
                return [opened, .method(0x0014_0014, [0], channel: frame.channel)]
            case 0x003C_0028: return [.ack(UInt64(published.next()), channel: frame.channel)]
            default: return []
            }
        }
        let client = try RabbitMQClient(url: broker.url)
        // Connected before, so that the limit is one for the publish.
        _ = try await client.broker()
        let error = await #expect(throws: AMQPError.self) {
            try await client.publish(Message(body: [1]), to: .queue("letters"), timeout: .seconds(2))
        }
        #expect(error?.code == .blocked)
        #expect(error?.outcomeIsKnown == true)
        #expect(published.value == 0)
    }
}
