import AMQP
import Synchronization
import TestSupport
import Testing

@testable import RabbitMQ

/// The limits that a broker sets at log-in.
@Suite(.timeLimit(.minutes(1))) struct NegotiatedLimitsTests {
    private func error(_ body: () async throws -> Void) async -> AMQPError? {
        do {
            try await body()
            return nil
        } catch {
            return error as? AMQPError
        }
    }

    @Test func `The broker's channel_max is kept, and the consumer beyond it fails alone`() async throws {
        let broker = ScriptedBroker(channelMax: 64)
        let client = try RabbitMQClient(url: broker.url)
        var streams: [DeliveryStream] = []
        // Three channels remain for requests.
        for number in 1...61 { streams.append(try await client.consume(queue: "letters-\(number)", prefetch: 1)) }
        let refusal = await error { _ = try await client.consume(queue: "one-more", prefetch: 1) }
        #expect(refusal?.code == .refused)
        #expect(refusal?.message.contains("All 64 channels") == true)
        #expect(broker.connectionCount == 1)
        for stream in streams { #expect(stream.isRegistered) }
    }

    @Test(arguments: [1, 2, 3, 4] as [UInt16])
    func `A broker with almost no channels refuses consumers instead of ending the program`(limit: UInt16) async throws
    {
        let broker = ScriptedBroker(channelMax: limit)
        let client = try RabbitMQClient(url: broker.url)
        let refusal = await error { _ = try await client.consume(queue: "letters", prefetch: 1) }
        #expect((refusal == nil) == (limit > 3))
        #expect(broker.connectionCount == 1)
    }

    @Test func `A broker that allows its user no more channels fails the consumer that asked for one`() async throws {
        let broker = ScriptedBroker { connection, frame in
            guard frame.method == 0x0014_000A, frame.channel == 3 else { return [] }
            let text =
                "NOT_ALLOWED - number of channels opened for user 'guest' has reached the maximum allowed limit of (2)"
            return [.close(530, text, method: 0x0014_000A, channel: 0)]
        }
        let client = try RabbitMQClient(url: broker.url)
        let first = try await client.consume(queue: "first", prefetch: 1)
        let second = try await client.consume(queue: "second", prefetch: 1)
        let refusal = await error { _ = try await client.consume(queue: "third", prefetch: 1) }
        #expect(refusal?.code == .refused)
        #expect(refusal?.reply?.code == 530)
        // The others recover, on one new connection.
        try await until { broker.connectionCount == 2 && first.isRegistered && second.isRegistered }
    }

    @Test func `Headers larger than the broker's frame_max fail their own publish, and no frame is larger`()
        async throws
    {
        let largest = Mutex(0)
        let published = Counter()
        let broker = ScriptedBroker(frameMax: 8192) { _, frame in
            largest.withLock { $0 = max($0, frame.payload.count + 8) }
            return frame.method == 0x003C_0028 ? [.ack(UInt64(published.next()), channel: frame.channel)] : []
        }
        let client = try RabbitMQClient(url: broker.url)
        var properties = BasicProperties()
        properties.headers = ["long": .string(String(repeating: "x", count: 9000))]
        let large = Message(properties: properties, body: [1])
        for _ in 1...3 {
            try await client.publish(Message(body: [UInt8](repeating: 7, count: 100_000)), to: .queue("letters"))
            let refusal = await error { try await client.publish(large, to: .queue("letters")) }
            #expect(refusal?.code == .messageTooLarge)
            #expect(refusal?.outcomeIsKnown == true)
            #expect(refusal?.message.contains("8192") == true)
            #expect(refusal?.message.contains("90") == true)
        }
        #expect(largest.withLock(\.self) == 8192)
        #expect(published.value == 3)
        #expect(broker.connectionCount == 1)
    }

    @Test(arguments: [(8177, true), (8178, false)])
    func `A header frame of exactly the broker's limit is sent`(size: Int, fits: Bool) async throws {
        // Frame 8, class, weight and size 12, flags 2, delivery mode 1, and the table: length 4, name 1 + 1, type 1,
        // length 4.
        let text = String(repeating: "x", count: size - 20 - 3 - 11 + 15)
        let broker = ScriptedBroker(frameMax: 8192) { _, frame in
            frame.method == 0x003C_0028 ? [.ack(1, channel: frame.channel)] : []
        }
        var properties = BasicProperties()
        properties.headers = ["n": .string(text)]
        let message = Message(properties: properties, body: [])
        let refusal = await error {
            try await RabbitMQClient(url: broker.url).publish(message, to: .queue("letters"), mandatory: false)
        }
        #expect((refusal == nil) == fits)
        #expect(refusal?.message.contains("8193 bytes") != false)
    }

    @Test func `No connection uses smaller frames than AMQP allows`() async throws {
        let agreed = Mutex<[UInt8]>([])
        let broker = ScriptedBroker(frameMax: 1024) { _, frame in
            // tune-ok: the frame size follows the number of channels.
            if frame.method == 0x000A_001F { agreed.withLock { $0 = Array(frame.payload[6..<10]) } }
            return []
        }
        let client = try RabbitMQClient(url: broker.url)
        let refusal = await error { _ = try await client.broker() }
        // A librabbitmq with Debian's fixes asks for 4,096 bytes by itself.
        guard agreed.withLock(\.self) != [0, 0, 0x10, 0] else { return }
        #expect(refusal?.code == .connectionFailed)
        #expect(refusal?.message.contains("1024") == true)
    }
}
