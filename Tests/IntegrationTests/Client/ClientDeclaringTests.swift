import AMQP
import RabbitMQ
import TestSupport
import Testing

@Suite(.needsBroker, .timeLimit(.minutes(1)))
struct ClientDeclaringTests {
    @Test func `A queue that exists with other arguments is reported with the difference`() async throws {
        let arguments = QueueArguments(.classic) { $0.messageTTL = .seconds(1) }
        try await withQueue(arguments) { client, queue in
            var other = arguments
            other.messageTTL = .seconds(2)
            let error = try await amqpError { _ = try await client.declare(QueueDeclaration(queue, arguments: other)) }
            #expect(error.code == .declarationMismatch)
            for part in [queue, "x-message-ttl", "1000", "2000"] {
                #expect(error.message.contains(part), "the message names \(part): \(error.message)")
            }
            // The next request goes on over a new channel.
            #expect(try await client.status(ofQueue: queue).messageCount == 0)
        }
    }

    @Test func `An exchange that exists with another kind is reported with the difference`() async throws {
        try await withClient { client in
            let name = TestBroker.uniqueName("exchange")
            try await client.declare(ExchangeDeclaration(name, kind: .direct))
            let error = try await amqpError { try await client.declare(ExchangeDeclaration(name, kind: .topic)) }
            try await client.deleteExchange(name)
            #expect(error.code == .declarationMismatch)
            for part in [name, "type", "topic", "direct"] {
                #expect(error.message.contains(part), "the message names \(part): \(error.message)")
            }
        }
    }

    @Test func `Declaring the same queue twice isn't an error`() async throws {
        let arguments = QueueArguments(.quorum) { arguments in
            arguments.deadLetterExchange = "amq.direct"
            arguments.deadLetterStrategy = .atLeastOnce
            arguments.overflow = .rejectPublish
            arguments.deliveryLimit = 50
            arguments.messageTTL = .seconds(1 << 27)
        }
        try await withQueue(arguments) { client, queue in
            let status = try await client.declare(QueueDeclaration(queue, arguments: arguments))
            #expect(status == QueueStatus(name: queue, messageCount: 0, consumerCount: 0))
        }
    }

    @Test func `Looking at a queue or an exchange that does not exist finds nothing`() async throws {
        try await withClient { client in
            let error = try await amqpError { _ = try await client.status(ofQueue: "test-nowhere") }
            #expect(error.code == .notFound)
            #expect(try await client.exchangeExists("test-nowhere") == false)
            #expect(try await client.exchangeExists("amq.topic"))
            #expect(try await client.deleteQueue("test-nowhere") == 0)
        }
    }

    @Test func `Bindings route from exchange to exchange to queue, until they are removed`() async throws {
        try await withQueue { client, queue in
            let outer = TestBroker.uniqueName("outer")
            let inner = TestBroker.uniqueName("inner")
            try await client.declare(ExchangeDeclaration(outer, kind: .topic))
            try await client.declare(ExchangeDeclaration(inner, kind: .fanout))
            let first = Binding(from: outer, to: .exchange(inner), routingKey: "letters.#")
            let second = Binding(from: inner, to: .queue(queue), routingKey: "")
            try await client.bind(first)
            try await client.bind(second)
            let destination = Destination(exchange: outer, routingKey: "letters.from.ada")
            try await client.publish(Message(body: [1]), to: destination)
            #expect(try await client.purgeQueue(queue) == 1)
            try await client.unbind(second)
            let error = try await amqpError { try await client.publish(Message(body: [2]), to: destination) }
            #expect(error.code == .unroutable)
            try await client.unbind(first)
            try await client.deleteExchange(outer)
            try await client.deleteExchange(inner)
        }
    }

    @Test func `A binding to a queue that does not exist is an error that names it`() async throws {
        try await withClient { client in
            let error = try await amqpError {
                try await client.bind(Binding(from: "amq.topic", to: .queue("test-nowhere"), routingKey: "x"))
            }
            #expect(error.code == .notFound)
            #expect(error.message.contains("test-nowhere"))
        }
    }

    @Test func `Another connection's exclusive queue is locked`() async throws {
        try await withClient { owner in
            let name = TestBroker.uniqueName("mine")
            try await owner.declare(QueueDeclaration(name, isDurable: false, isExclusive: true))
            let error = try await withClient { other in
                try await amqpError { _ = try await other.status(ofQueue: name) }
            }
            #expect(error.code == .resourceLocked)
            try await owner.deleteQueue(name)
        }
    }

    @Test func `A name that is too long is refused before anything is sent`() async throws {
        try await withClient { client in
            let name = String(repeating: "x", count: 256)
            let error = try await amqpError { _ = try await client.declare(QueueDeclaration(name)) }
            #expect(error.code == .invalidArgument)
        }
    }
}
