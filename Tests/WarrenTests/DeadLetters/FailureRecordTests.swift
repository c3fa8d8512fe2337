import AMQP
import Foundation
import Testing

@testable import Warren

@Suite struct FailureRecordTests {
    private let origin = Destination(exchange: "warren", routingKey: "emails")

    @Test func `A record survives a round trip through a message's headers`() throws {
        let message = try CapturedMessage.named("add")
        let error = JobFailure.permanent("no such user", underlying: SampleError())
        let record = FailureRecord(
            reason: .permanent,
            error: error,
            message: message,
            attempt: 3,
            origin: origin,
            worker: "w1",
            now: Date(timeIntervalSince1970: 1_795_232_137)
        )
        let read = FailureRecord(deadLetter: Envelope.deadLetter(message, record: record))
        #expect(read == record)
        #expect(read.message == "no such user")
        #expect(read.errorType == "Warren.JobFailure")
        #expect(read.details?.contains("it did not work") == true)
        #expect(read.history.count == 1)
        #expect(read.originalExchange == "warren")
        #expect(read.originalRoutingKey == "emails")
    }

    @Test func `A dead letter keeps its body and other headers`() throws {
        let message = try CapturedMessage.named("custom-headers")
        let letter = Envelope.deadLetter(message, record: record(.permanent, SampleError(), message))
        #expect(letter.body == message.body)
        for (name, value) in try #require(message.properties.headers) {
            #expect(letter.properties.headers?[name] == value)
        }
    }

    @Test func `A message without headers can be a dead letter too`() {
        let error = EnvelopeError(.missingTask, "The message has no 'task' header.")
        let message = Message(body: [1, 2, 3])
        let letter = Envelope.deadLetter(message, record: record(.undecodable(error), error, message, attempt: nil))
        let read = FailureRecord(deadLetter: letter)
        #expect(read.reason?.rawValue == "missing-task")
        #expect(read.history.isEmpty)
        #expect(read.message?.contains("no 'task' header") == true)
        #expect(letter.body == [1, 2, 3])
    }

    @Test func `The history of retries is carried over to the dead letter`() throws {
        let retried = try Envelope(encoding: Tidy(), now: noon).retried(
            after: .zero,
            error: SampleError(),
            worker: "w1",
            now: noon
        )
        let read = record(.attemptsExhausted, SampleError(description: "again"), retried, attempt: 2)
        #expect(read.history.map(\.message) == ["it did not work", "again"])
        #expect(read.failures == 2)
    }

    @Test func `A job that wasn't tried gets no new failure in its history`() throws {
        let retried = try Envelope(encoding: Tidy(), now: noon).retried(
            after: .zero,
            error: SampleError(),
            worker: "w1",
            now: noon
        )
        let read = record(.expired, nil, retried)
        #expect(read.history.count == 1)
        #expect(read.message == nil)
        #expect(read.reason == .expired)
    }

    @Test func `Texts are cut to their limits between characters`() throws {
        let message = try CapturedMessage.named("add")
        let error = JobFailure.permanent(
            String(repeating: "é", count: 10_000),
            underlying: SampleError(description: String(repeating: "€", count: 10_000))
        )
        let headers = try #require(
            Envelope.deadLetter(message, record: record(.permanent, error, message)).properties.headers
        )
        let text = try #require(headers["warren-error-message"]?.stringValue)
        #expect((4_090...4_096).contains(text.utf8.count))
        #expect(text.hasSuffix("é…"))
        #expect(try #require(headers["warren-error-details"]?.stringValue).utf8.count <= 8_192)
        let read = FailureRecord(headers: headers)
        #expect(try #require(read.history.first?.message).utf8.count <= 500)
    }

    @Test func `Headers of wrong types are ignored`() {
        let odd: [FieldValue] = [
            .void, 7, "x", [], [1, "x", .void], [[:]], .bytes([0xFF]), .timestamp(.max), .double(.nan), ["a": 1],
        ]
        let names = [
            "warren-dead-reason", "warren-error-type", "warren-error-message", "warren-error-details", "warren-history",
            "warren-failures", "warren-first-failed-at", "warren-last-failed-at", "warren-dead-at",
            "warren-original-exchange",
            "x-death",
        ]
        for value in odd {
            var properties = BasicProperties()
            properties.headers = FieldTable()
            for name in names { properties.headers?[name] = value }
            let record = FailureRecord(deadLetter: Message(properties: properties, body: []))
            #expect(record.firstFailedAt == nil)
            #expect(record.history.count <= 1)
        }
    }

    @Test func `A hostile history is cut when it is read`() {
        let failure: FieldValue = ["attempt": .int64(.max), "error": "e"]
        let headers: FieldTable = [
            "warren-history": .array(Array(repeating: failure, count: 500)), "warren-failures": .int64(.max),
        ]
        var record = FailureRecord(headers: headers)
        #expect(record.history.count == 20)
        record.add(ErrorDescription(SampleError()), attempt: 1, worker: "w", now: noon)
        #expect(record.history.count == 20)
        #expect(record.failures > 20)
    }

    @Test func `A dead letter made by the broker has the broker's word as its reason`() throws {
        let record = FailureRecord(deadLetter: try CapturedMessage.named("delayed"))
        #expect(record.reason?.rawValue == "broker-expired")
        #expect(record.originalExchange == "celery_delayed_1")
        #expect(record.originalRoutingKey?.hasSuffix(".qd") == true)
        #expect(record.deadAt?.timeIntervalSince1970 == 1_795_232_809)
    }

    private func record(
        _ reason: DeadReason,
        _ error: (any Error)?,
        _ message: Message,
        attempt: Int? = 1
    ) -> FailureRecord {
        FailureRecord(
            reason: reason,
            error: error,
            message: message,
            attempt: attempt,
            origin: origin,
            worker: "w",
            now: noon
        )
    }
}
