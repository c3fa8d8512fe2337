import AMQP
import Synchronization
import Testing

@Suite(.timeLimit(.minutes(1)))
struct DeliveryStreamTests {
    final class Settlements: DeliverySettler {
        let taken = Mutex<[UInt64: DeliverySettlement]>([:])
        func settle(_ tag: UInt64, _ settlement: DeliverySettlement) { taken.withLock { $0[tag] = settlement } }
    }

    let settlements = Settlements()

    func deliveries(_ tags: ClosedRange<UInt64>) -> [Delivery] {
        tags.map {
            Delivery(
                message: Message(body: []),
                destination: .queue("q"),
                queue: "q",
                isRedelivered: false,
                tag: $0,
                settler: settlements
            )
        }
    }

    func stream() -> DeliveryStream { DeliveryStream(control: .init(cancel: {}, close: {})) }

    @Test func `Deliveries passed in batches are read in order, one by one`() async throws {
        let stream = stream()
        stream.yield(deliveries(1...3))
        stream.yield(deliveries(4...4))
        stream.finish()
        var tags: [UInt64] = []
        for try await delivery in stream { tags.append(delivery.tag) }
        #expect(tags == [1, 2, 3, 4])
    }

    @Test func `A batch has all deliveries that wait`() async throws {
        let stream = stream()
        stream.yield(deliveries(1...2))
        stream.yield(deliveries(3...4))
        #expect(try await stream.nextBatch().map(\.tag) == [1, 2, 3, 4])
    }

    @Test func `A waiting reader is woken`() async throws {
        let stream = stream()
        async let batch = stream.nextBatch()
        stream.yield(deliveries(7...7))
        #expect(try await batch.map(\.tag) == [7])
    }

    @Test func `The error is thrown after what had arrived, and nothing that arrives later is read`() async throws {
        let stream = stream()
        stream.yield(deliveries(1...2))
        stream.finish(throwing: AMQPError(.connectionLost, "gone"))
        stream.yield(deliveries(3...3))
        var iterator = stream.makeAsyncIterator()
        #expect(try await iterator.next()?.tag == 1)
        #expect(try await iterator.next()?.tag == 2)
        await #expect(throws: AMQPError.self) { try await stream.nextBatch() }
    }

    @Test func `Only the first end of a stream counts`() async throws {
        let ended = stream()
        ended.finish()
        ended.finish(throwing: AMQPError(.connectionLost, "gone"))
        #expect(try await ended.nextBatch().isEmpty)

        let failed = stream()
        failed.finish(throwing: AMQPError(.consumerCancelled, "cancelled"))
        failed.finish()
        let error = await #expect(throws: AMQPError.self) { try await failed.nextBatch() }
        #expect(error?.code == .consumerCancelled)
    }

    @Test func `The stream ends for a reader that is cancelled while it waits, and not for the next reader`()
        async throws
    {
        let stream = stream()
        let waiting = Task { try await stream.nextBatch() }
        waiting.cancel()
        #expect(try await waiting.value.isEmpty)
        stream.yield(deliveries(1...1))
        #expect(try await stream.nextBatch().map(\.tag) == [1])
    }

    @Test func `A cancelled reader gets what had arrived before the stream ends for it`() async throws {
        let stream = stream()
        stream.yield(deliveries(1...1))
        let reader = Task {
            while !Task.isCancelled { await Task.yield() }
            return try await stream.nextBatch().map(\.tag)
        }
        reader.cancel()
        #expect(try await reader.value == [1])
    }

    @Test func `Cancelling and closing are passed to the transport`() async {
        let asked = Mutex<[String]>([])
        let control = DeliveryStream.Control(
            cancel: { asked.withLock { $0.append("cancel") } },
            close: { asked.withLock { $0.append("close") } }
        )
        let stream = DeliveryStream(control: control)
        await stream.cancel()
        await stream.close()
        #expect(asked.withLock { $0 } == ["cancel", "close"])
    }

    @Test func `Settlements go to the channel on which the delivery arrived`() {
        let all = deliveries(1...4)
        all[0].ack()
        all[1].nack(requeue: true)
        all[2].nack(requeue: false)
        all[3].reject(requeue: true)
        #expect(settlements.taken.withLock { $0 } == [1: .ack, 2: .requeue, 3: .discard, 4: .reject(requeue: true)])
    }
}
