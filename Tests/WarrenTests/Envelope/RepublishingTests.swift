import AMQP
import Foundation
import Testing

@testable import Warren

@Suite struct RepublishingTests {
    @Test func `A retry keeps body, id and headers, and changes what Celery changes`() throws {
        let original = try CapturedMessage.named("custom-headers")
        let envelope = try Envelope(decoding: original)
        let retried = envelope.retried(after: .milliseconds(1_500), error: SampleError(), worker: "w1", now: noon)
        #expect(retried.body == original.body)
        let again = try Envelope(decoding: retried)
        #expect(again.id == envelope.id)
        #expect(again.retries == 1)
        #expect(try abs(#require(again.eta).timeIntervalSince(noon) - 1.5) < 0.000_001)
        #expect(again.headers["parent_id"] == .string(envelope.id))
        let changed: Set = ["retries", "eta", "parent_id"]
        for (name, value) in envelope.headers where !changed.contains(name) {
            #expect(again.headers[name] == value, "\(name)")
        }
        #expect(retried.properties.replyTo == original.properties.replyTo)
        #expect(retried.properties.correlationID == original.properties.correlationID)
    }

    @Test func `A retry doesn't have the headers that the broker added`() throws {
        var message = try CapturedMessage.named("delayed")
        #expect(message.properties.headers?["x-death"] != nil)
        for name in ["x-last-death-queue", "x-delivery-count", "x-acquired-count", "CC", "BCC"] {
            message.properties.headers?[name] = 1
        }
        message.properties.headers?["x-tenant"] = "acme"
        let headers = try Envelope(decoding: message).retried(
            after: .zero,
            error: SampleError(),
            worker: "w",
            now: noon
        ).properties.headers
        let names = try #require(headers).map(\.name)
        #expect(names.filter { $0.hasPrefix("x-") || $0.hasSuffix("CC") } == ["x-tenant"])
    }

    @Test func `The broker can neither drop a retry on its way nor refuse it for its user`() throws {
        var message = try CapturedMessage.named("expires-60")
        message.properties.userID = "someone"
        message.properties.deliveryMode = .transient
        #expect(message.properties.expiration == "60000")
        let envelope = try Envelope(decoding: message)
        let retried = envelope.retried(after: .seconds(3_600), error: SampleError(), worker: "w", now: noon)
        #expect(retried.properties.expiration == nil)
        #expect(retried.properties.userID == nil)
        #expect(retried.properties.deliveryMode == .persistent)
        #expect(try Envelope(decoding: retried).expires == envelope.expires)
    }

    @Test func `Each retry adds to the history, which keeps the last twenty failures`() throws {
        var envelope = try Envelope(encoding: Tidy(), now: noon)
        for attempt in 1...25 {
            let error = SampleError(description: "failure \(attempt)")
            let message = envelope.retried(
                after: .zero,
                error: error,
                worker: "w\(attempt)",
                now: noon + Double(attempt)
            )
            envelope = try Envelope(decoding: message)
        }
        let record = FailureRecord(headers: envelope.headers)
        #expect(record.failures == 25)
        #expect(record.history.map(\.attempt) == Array(6...25))
        #expect(record.history.last?.message == "failure 25")
        #expect(record.history.last?.worker == "w25")
        #expect(try abs(#require(record.firstFailedAt).timeIntervalSince(noon + 1)) < 0.001)
        #expect(try abs(#require(record.lastFailedAt).timeIntervalSince(noon + 25)) < 0.001)
        #expect(record.reason == nil)
    }

    @Test func `Headers stay within one frame, whatever the message and the error contain`() throws {
        var message = try CapturedMessage.named("add")
        message.properties.headers?["cargo"] = .string(String(repeating: "x", count: 60_000))
        message.properties.headers?["more"] = .string(String(repeating: "y", count: 58_000))
        var envelope = try Envelope(decoding: message)
        for _ in 0..<30 {
            let error = SampleError(description: String(repeating: "😀", count: 50_000))
            envelope = try Envelope(decoding: envelope.retried(after: .zero, error: error, worker: "w", now: noon))
        }
        #expect(envelope.headers.wireSize <= HeaderLimits.maximumSize)
        #expect(envelope.headers["cargo"] == nil)
        #expect(envelope.headers["more"] != nil)
        #expect(envelope.headers["warren-dropped-headers"] == ["cargo"])
        #expect(FailureRecord(headers: envelope.headers).history.count == 20)
    }

    @Test func `A header of our own that someone else made too large is removed too`() throws {
        var message = try CapturedMessage.named("add")
        message.properties.headers?["warren-lane"] = .string(String(repeating: "x", count: 130_000))
        let parked = Envelope.parked(message, from: .queue("q"), now: noon)
        #expect(try #require(parked.properties.headers).wireSize <= HeaderLimits.maximumSize)
        #expect(parked.properties.headers?["task"] == "demo.add")
    }

    @Test func `A replayed job has all its attempts, and no failure record`() throws {
        let original = try Envelope(encoding: SendEmail(to: "a", subject: "b"), expires: noon + 1, now: noon)
        let retried = original.retried(after: .seconds(5), error: SampleError(), worker: "w", now: noon)
        let record = FailureRecord(
            reason: .attemptsExhausted,
            error: SampleError(),
            message: retried,
            attempt: 2,
            origin: Destination(exchange: "warren", routingKey: "emails"),
            worker: "w",
            now: noon
        )
        let replayed = Envelope.replayed(Envelope.deadLetter(retried, record: record), now: noon + 60)
        let envelope = try Envelope(decoding: replayed)
        #expect(envelope.retries == 0)
        #expect(envelope.eta == nil)
        #expect(envelope.expires == nil)
        #expect(envelope.id == original.id)
        #expect(envelope.message.body == original.message.body)
        #expect(FailureRecord(headers: envelope.headers) == FailureRecord())
        #expect(!envelope.headers.contains { $0.name.hasPrefix("warren-") && $0.name != "warren-enqueued-at" })
    }

    @Test func `A replay keeps an expiry in the future`() throws {
        let original = try Envelope(encoding: Tidy(), expires: noon + 600, now: noon)
        #expect(try Envelope(decoding: Envelope.replayed(original.message, now: noon + 60)).expires != nil)
    }

    @Test func `A parked job has its origin in its headers, and is otherwise unchanged`() throws {
        let original = try CapturedMessage.named("add")
        let parked = Envelope.parked(original, from: Destination(exchange: "e", routingKey: "k"), now: noon)
        #expect(parked.properties.headers?["warren-original-exchange"] == "e")
        #expect(parked.properties.headers?["warren-original-routing-key"] == "k")
        #expect(parked.body == original.body)
        #expect(try Envelope(decoding: Envelope.replayed(parked, now: noon)).headers == original.properties.headers)
    }
}
