import AMQP
import Foundation
import Logging
import Testing

@testable import Warren

@Suite struct JobContextTests {
    @Test func `A context has the message's metadata`() throws {
        let first = try Envelope(encoding: Tidy(), expires: noon + 60, headers: ["tenant": "acme"], now: noon)
        let second = try Envelope(decoding: first.retried(after: .zero, error: SampleError(), worker: "w", now: noon))
        let context = context(second, maximumAttempts: 5)
        #expect(context.id == first.id)
        #expect(context.attempt == 2)
        #expect(context.retriesLeft == 3)
        #expect(context.headers["tenant"] == "acme")
        #expect(context.expiresAt != nil)
        #expect(try abs(#require(context.enqueuedAt).timeIntervalSince(noon)) < 0.000_001)
        #expect(self.context(second, maximumAttempts: 1).retriesLeft == 0)
    }

    @Test func `The delivery count is the broker's, else it follows the redelivered flag`() throws {
        var message = try Envelope(encoding: Tidy(), now: noon).message
        #expect(context(try Envelope(decoding: message)).deliveryCount == 0)
        #expect(context(try Envelope(decoding: message), isRedelivered: true).deliveryCount == 1)
        message.properties.headers?["x-delivery-count"] = .int64(4)
        #expect(context(try Envelope(decoding: message), isRedelivered: true).deliveryCount == 4)
    }

    @Test func `The logger has the job's name, id and attempt`() throws {
        let envelope = try Envelope(encoding: Tidy(), id: "the-id", now: noon)
        let logger = context(envelope).logger
        #expect(logger[metadataKey: "job-id"] == "the-id")
        #expect(logger[metadataKey: "job"] == "tidy")
        #expect(logger[metadataKey: "attempt"] == "1")
    }

    private func context(_ envelope: Envelope, maximumAttempts: Int = 1, isRedelivered: Bool = false) -> JobContext {
        JobContext(
            envelope: envelope,
            queue: "chores",
            worker: "w",
            isRedelivered: isRedelivered,
            maximumAttempts: maximumAttempts,
            logger: Logger(label: "test")
        )
    }
}
