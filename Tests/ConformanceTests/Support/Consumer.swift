import AMQP
import Testing

/// Reads a consumer's deliveries, with a time limit.
final class Consumer {
    let stream: DeliveryStream
    private let broker: Broker
    private var waiting: ArraySlice<Delivery> = []

    init(_ stream: DeliveryStream, of broker: Broker) {
        self.stream = stream
        self.broker = broker
    }

    /// The next delivery, which must come.
    func next(sourceLocation: SourceLocation = #_sourceLocation) async throws -> Delivery {
        if let delivery = waiting.popFirst() { return delivery }
        let stream = stream
        let batch = try await broker.withLimit { try await stream.nextBatch() }
        waiting = (batch ?? [])[...]
        let first = waiting.popFirst()
        return try #require(first, "a delivery should come", sourceLocation: sourceLocation)
    }

    /// The next deliveries.
    func next(_ count: Int, sourceLocation: SourceLocation = #_sourceLocation) async throws -> [Delivery] {
        var deliveries: [Delivery] = []
        while deliveries.count < count { deliveries.append(try await next(sourceLocation: sourceLocation)) }
        return deliveries
    }

    /// The text of the next delivery, which is acknowledged.
    func take(sourceLocation: SourceLocation = #_sourceLocation) async throws -> String {
        let delivery = try await next(sourceLocation: sourceLocation)
        delivery.ack()
        return delivery.text
    }

    /// The texts of the next deliveries, which are acknowledged one by one.
    func take(_ count: Int, sourceLocation: SourceLocation = #_sourceLocation) async throws -> [String] {
        var texts: [String] = []
        while texts.count < count { texts.append(try await take(sourceLocation: sourceLocation)) }
        return texts
    }

    /// Nothing comes for a while.
    func expectNone(
        for time: Duration = .milliseconds(60),
        sourceLocation: SourceLocation = #_sourceLocation
    ) async throws {
        try await broker.pass(time)
        let stream = stream
        let batch = try await broker.withLimit(attempts: 3) { try await stream.nextBatch() } ?? []
        waiting += batch
        #expect(waiting.map(\.text) == [], "nothing should come", sourceLocation: sourceLocation)
    }

    /// The error in which the stream ends; `nil` if it ends without one.
    ///
    /// What comes before is dropped.
    func end(sourceLocation: SourceLocation = #_sourceLocation) async throws -> AMQPError? {
        waiting = []
        let stream = stream
        let end = try await broker.withLimit { await stream.ending() }
        return try #require(end, "the stream should end", sourceLocation: sourceLocation)
    }

    func cancel() async { await stream.cancel() }

    func close() async { await stream.close() }
}

extension DeliveryStream {
    /// Reads to the end, and says in which error it ends.
    fileprivate func ending() async -> AMQPError? {
        do throws(AMQPError) {
            while try await !nextBatch().isEmpty {}
            return nil
        } catch {
            return error
        }
    }
}
