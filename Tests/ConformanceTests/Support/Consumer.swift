import AMQP
import Testing

/// Reads a consumer's deliveries, with a time limit.
final class Consumer {
    let stream: DeliveryStream
    private let broker: ConformanceBroker
    private var waiting: ArraySlice<Delivery> = []

    init(_ stream: DeliveryStream, of broker: ConformanceBroker) {
        self.stream = stream
        self.broker = broker
    }

    /// Waits for the next delivery.
    func next(sourceLocation: SourceLocation = #_sourceLocation) async throws -> Delivery {
        if let delivery = waiting.popFirst() { return delivery }
        let stream = stream
        let batch = try await broker.withLimit { try await stream.nextBatch() }
        waiting = (batch ?? [])[...]
        let first = waiting.popFirst()
        return try #require(first, "a delivery should arrive", sourceLocation: sourceLocation)
    }

    /// Waits for the next deliveries.
    func next(_ count: Int, sourceLocation: SourceLocation = #_sourceLocation) async throws -> [Delivery] {
        var deliveries: [Delivery] = []
        while deliveries.count < count { deliveries.append(try await next(sourceLocation: sourceLocation)) }
        return deliveries
    }

    /// Acknowledges the next delivery; returns its text.
    func take(sourceLocation: SourceLocation = #_sourceLocation) async throws -> String {
        let delivery = try await next(sourceLocation: sourceLocation)
        delivery.ack()
        return delivery.text
    }

    /// Acknowledges the next deliveries one by one; returns their texts.
    func take(_ count: Int, sourceLocation: SourceLocation = #_sourceLocation) async throws -> [String] {
        var texts: [String] = []
        while texts.count < count { texts.append(try await take(sourceLocation: sourceLocation)) }
        return texts
    }

    /// Expects that no delivery arrives for a while.
    func expectNone(
        for time: Duration = .milliseconds(60),
        sourceLocation: SourceLocation = #_sourceLocation
    ) async throws {
        try await broker.pass(time)
        let stream = stream
        let batch = try await broker.withLimit(attempts: 3) { try await stream.nextBatch() } ?? []
        waiting += batch
        #expect(waiting.map(\.text) == [], "no delivery should arrive", sourceLocation: sourceLocation)
    }

    /// Waits for the end of the stream; returns its error, or `nil` if it ends without one.
    ///
    /// Deliveries before the end are dropped.
    func end(sourceLocation: SourceLocation = #_sourceLocation) async throws -> AMQPError? {
        waiting = []
        let stream = stream
        let end = try await broker.withLimit { await stream.readToEnd() }
        return try #require(end, "the stream should end", sourceLocation: sourceLocation)
    }

    func cancel() async { await stream.cancel() }

    func close() async { await stream.cancel(requeuesUnsettled: true) }
}

extension DeliveryStream {
    /// Reads to the end; returns the error, if there is one.
    fileprivate func readToEnd() async -> AMQPError? {
        do throws(AMQPError) {
            while try await !nextBatch().isEmpty {}
            return nil
        } catch {
            return error
        }
    }
}
