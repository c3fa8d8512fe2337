import AMQP
import Foundation
import RabbitMQ
import TestSupport
import Testing

/// The recovery of a client when its broker stops and starts again.
@Suite(.needsBroker, .privateBrokers, .timeLimit(.minutes(15)), .serialized)
struct ClientRecoveryTests {
    @Test func `A client survives a restart of its broker`() async throws {
        try await PrivateBroker.run { broker in
            try await withClient(url: broker.url) { client in
                try await client.declare(QueueDeclaration("letters", arguments: QueueArguments(.quorum)))
                try await client.declare(QueueDeclaration("mine", isExclusive: true))
                var letters = try await client.consume(queue: "letters", prefetch: 10).makeAsyncIterator()
                let own = try await client.consume(queue: "mine", prefetch: 10)
                var mine = own.makeAsyncIterator()
                try await client.publish(Message(body: [1]), to: .queue("letters"))
                let held = try #require(try await letters.next())

                try await broker.stop()
                // It ends, although the broker isn't there again before it has.
                let hasty = try await amqpError {
                    try await client.publish(Message(body: [2]), to: .queue("letters"), timeout: .milliseconds(300))
                }
                #expect(hasty.code == .deadlineExceeded)
                #expect(hasty.outcomeIsKnown)
                #expect(held.isLost)
                #expect(!own.isRegistered)
                #expect(!client.health.consuming.isConnected)

                async let patient: Void = client.publish(
                    Message(body: [3]),
                    to: .queue("letters"),
                    timeout: .seconds(120)
                )
                try await broker.start()
                try await patient
                let redelivered = try #require(try await letters.next())
                #expect(redelivered.message.body == [1])
                redelivered.ack()
                let published = try #require(try await letters.next())
                #expect(published.message.body == [3])
                published.ack()
                // The exclusive queue went with its connection, and was declared and consumed again.
                try await client.publish(Message(body: [4]), to: .queue("mine"))
                let fourth = try #require(try await mine.next())
                #expect(fourth.message.body == [4])
                #expect(client.health.consuming == .open)
            }
        }
    }

    @Test func `The states of the connections can be watched`() async throws {
        try await PrivateBroker.run { broker in
            try await withClient(url: broker.url) { client in
                var states = client.healthChanges().makeAsyncIterator()
                #expect(await states.next()?.consuming == .idle)
                let stream = try await client.consume(queue: try await queue(client), prefetch: 1)
                #expect(await states.next()?.consuming == .connecting)
                #expect(await states.next()?.consuming == .open)
                #expect(client.health.isAlive(at: .now))
                try await broker.ctl("close_all_connections", "maintenance")
                guard await states.next()?.consuming == .recovering(attempt: 1) else {
                    Issue.record("the client did not say that it recovers")
                    return
                }
                while let health = await states.next(), health.consuming != .open {}
                await stream.cancel(requeuesUnsettled: true)
            }
        }
    }

    /// While an alarm lasts, the broker reads nothing from a publisher: sends fill the socket's buffers and then block
    /// the thread.
    @Test func `A send that TCP blocks delays no publish beyond its own deadline`() async throws {
        try await PrivateBroker.run { broker in
            try await withClient(url: broker.url + "?heartbeat=4") { client in
                let queue = try await queue(client)
                try await client.publish(Message(body: [1]), to: .queue(queue))
                try await broker.ctl("set_vm_memory_high_watermark", "0")
                // All end before the alarm does: without the watchdog they would last as long.
                await withDiscardingTaskGroup { group in
                    for _ in 0..<8 {
                        group.addTask {
                            let body = [UInt8](repeating: 7, count: 8 << 20)
                            do throws(AMQPError) {
                                try await client.publish(
                                    Message(body: body),
                                    to: .queue(queue),
                                    timeout: .milliseconds(1500)
                                )
                            } catch {
                                #expect([.confirmTimedOut, .deadlineExceeded, .blocked].contains(error.code))
                            }
                        }
                    }
                }
                try await broker.ctl("set_vm_memory_high_watermark", "0.4")
                try await client.publish(Message(body: [2]), to: .queue(queue), timeout: .seconds(60))
            }
        }
    }

    @Test func `A client of several endpoints uses one that answers`() async throws {
        let url = try #require(TestBroker.url)
        try await withClient(url: "amqp://127.0.0.1:1,\(url),amqp://127.0.0.1:2") { client in
            let broker = try await client.broker()
            #expect(broker.product == "RabbitMQ")
        }
    }

    private func queue(_ client: RabbitMQClient) async throws -> String {
        try await client.declare(QueueDeclaration("letters", arguments: QueueArguments(.quorum)))
        return "letters"
    }
}
