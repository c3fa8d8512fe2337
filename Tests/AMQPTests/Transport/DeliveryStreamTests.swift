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

    func stream() -> DeliveryStream { DeliveryStream(control: .init(cancel: { _ in })) }

    @Test func `Deliveries passed in batches are read in order, one by one`() async throws {
        let stream = stream()
        stream.source.yield(deliveries(1...3))
        stream.source.yield(deliveries(4...4))
        stream.source.finish()
        var tags: [UInt64] = []
        for try await delivery in stream { tags.append(delivery.tag) }
        #expect(tags == [1, 2, 3, 4])
    }

    @Test func `A batch has all deliveries that wait`() async throws {
        let stream = stream()
        stream.source.yield(deliveries(1...2))
        stream.source.yield(deliveries(3...4))
        #expect(try await stream.nextBatch().map(\.tag) == [1, 2, 3, 4])
    }

    @Test func `A waiting reader is woken`() async throws {
        let stream = stream()
        async let batch = stream.nextBatch()
        stream.source.yield(deliveries(7...7))
        #expect(try await batch.map(\.tag) == [7])
    }

    @Test func `The error is thrown after what had arrived, and nothing that arrives later is read`() async throws {
        let stream = stream()
        stream.source.yield(deliveries(1...2))
        stream.source.finish(throwing: AMQPError(.connectionLost, "gone"))
        stream.source.yield(deliveries(3...3))
        var iterator = stream.makeAsyncIterator()
        #expect(try await iterator.next()?.tag == 1)
        #expect(try await iterator.next()?.tag == 2)
        await #expect(throws: AMQPError.self) { try await stream.nextBatch() }
    }

    @Test func `Only the first end of a stream counts`() async throws {
        let ended = stream()
        ended.source.finish()
        ended.source.finish(throwing: AMQPError(.connectionLost, "gone"))
        #expect(try await ended.nextBatch().isEmpty)

        let failed = stream()
        failed.source.finish(throwing: AMQPError(.consumerCancelled, "cancelled"))
        failed.source.finish()
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
        stream.source.yield(deliveries(1...1))
        #expect(try await stream.nextBatch().map(\.tag) == [1])
    }

    @Test func `A cancelled reader gets what had arrived before the stream ends for it`() async throws {
        let stream = stream()
        stream.source.yield(deliveries(1...1))
        let reader = Task {
            while !Task.isCancelled { await Task.yield() }
            return try await stream.nextBatch().map(\.tag)
        }
        reader.cancel()
        #expect(try await reader.value == [1])
    }

    @Test func `Cancelling is passed to the transport`() async {
        let asked = Mutex<[Bool]>([])
        let stream = DeliveryStream(control: .init(cancel: { requeues in asked.withLock { $0.append(requeues) } }))
        await stream.cancel()
        await stream.cancel(requeuesUnsettled: true)
        #expect(asked.withLock { $0 } == [false, true])
    }

    /// A stream, and the number of times that its consumer was abandoned.
    private func abandonable() -> (DeliveryStream?, Counted) {
        let count = Counted()
        return (DeliveryStream(control: .init(cancel: { _ in }, abandon: { count.add() })), count)
    }

    private final class Counted: Sendable {
        private let count = Mutex(0)
        var value: Int { count.withLock(\.self) }
        func add() { count.withLock { $0 += 1 } }
    }

    @Test func `Leaving the loop ends the consumer and requeues what was not read`() async throws {
        let (stream, abandoned) = abandonable()
        let source = try #require(stream).source
        source.yield(deliveries(1...4))
        for try await delivery in try #require(stream) {
            delivery.ack()
            if delivery.tag == 2 { break }
        }
        #expect(abandoned.value == 1)
        #expect(settlements.taken.withLock(\.self) == [1: .ack, 2: .ack, 3: .requeue, 4: .requeue])
        source.yield(deliveries(5...5))
        #expect(settlements.taken.withLock { $0[5] } == .requeue)
        #expect(try await stream?.nextBatch().isEmpty == true)
    }

    @Test func `An error in the loop ends the consumer and requeues what was not read`() async throws {
        struct Fault: Error {}
        let (stream, abandoned) = abandonable()
        stream?.source.yield(deliveries(1...2))
        await #expect(throws: Fault.self) {
            for try await _ in try #require(stream) { throw Fault() }
        }
        #expect(abandoned.value == 1)
        #expect(settlements.taken.withLock(\.self) == [2: .requeue])
    }

    @Test func `Dropping the stream ends the consumer and requeues what was not read`() {
        var (stream, abandoned) = abandonable()
        let source = stream?.source
        source?.yield(deliveries(1...2))
        stream = nil
        #expect(abandoned.value == 1)
        #expect(settlements.taken.withLock(\.self) == [1: .requeue, 2: .requeue])
    }

    @Test func `A consumer that has ended is not ended again`() async throws {
        var (stream, abandoned) = abandonable()
        stream?.source.yield(deliveries(1...1))
        stream?.source.finish()
        for try await delivery in try #require(stream) { delivery.ack() }
        stream = nil
        #expect(abandoned.value == 0)
        #expect(settlements.taken.withLock(\.self) == [1: .ack])
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
