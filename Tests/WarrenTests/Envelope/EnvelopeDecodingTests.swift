import AMQP
import Foundation
import TestSupport
import Testing

@testable import Warren

@Suite struct EnvelopeDecodingTests {
    @Test func `A message from Celery is decoded`() throws {
        let envelope = try Envelope(decoding: CapturedMessage.named("add"))
        #expect(envelope.name == "demo.add")
        #expect(envelope.id == "889834f2-3e66-484e-a4fd-64ed76fee5da")
        #expect(envelope.retries == 0)
        #expect(envelope.attempt == 1)
        #expect(envelope.eta == nil)
        #expect(envelope.expires == nil)
        #expect(envelope.enqueuedAt == nil)
    }

    @Test(arguments: [
        ("countdown", "2026-11-21T03:35:37.755313Z"), ("eta-aware-offset", "2026-11-21T03:35:40.578042Z"),
        ("eta-naive-local", "2026-11-21T03:35:39.160969Z"),
    ]
    )
    func `Times in Celery's messages are read, whatever their offset`(capture: String, expected: String) throws {
        #expect(try Envelope(decoding: CapturedMessage.named(capture)).eta == WireTime.date(expected))
    }

    @Test(arguments: ["expires-60", "expires-datetime", "expires-past"])
    func `Expiries in Celery's messages are decoded`(capture: String) throws {
        let envelope = try Envelope(decoding: CapturedMessage.named(capture))
        let expires = try #require(envelope.expires)
        #expect(!envelope.isExpired(at: expires.addingTimeInterval(-0.001)))
        #expect(envelope.isExpired(at: expires))
    }

    @Test func `Custom headers of every type reach the handler`() throws {
        let headers = try Envelope(decoding: CapturedMessage.named("custom-headers")).headers
        #expect(headers["x-tenant"] == "acme")
        #expect(headers["big"] == .int64(1_099_511_627_776))
        #expect(headers["tbl"] == ["k": 1])
        #expect(headers["none"] == .void)
    }

    @Test func `A retried message counts the earlier attempts`() throws {
        let envelope = try Envelope(decoding: CapturedMessage.named("flaky1-1"))
        #expect(envelope.retries == 1)
        #expect(envelope.attempt == 2)
        #expect(envelope.headers["parent_id"] == .string(envelope.id))
    }

    @Test(arguments: ["priority-5", "time-limits", "stamped"])
    func `A priority, time limits and stamps do no harm`(capture: String) throws {
        #expect(try Envelope(decoding: CapturedMessage.named(capture)).name == "demo.add")
    }

    @Test func `A compressed body is refused with the name of the compression`() throws {
        let message = try CapturedMessage.named("gzip")
        let error = try #require(throws: EnvelopeError.self) { try Envelope(decoding: message) }
        #expect(error.code == .compressed)
        #expect(error.message.contains("application/x-gzip"))
    }

    @Test func `Two headers and a content type are enough`() throws {
        let envelope = try Envelope(decoding: message(["task": "t", "id": "i"]))
        #expect(envelope.name == "t")
        #expect(envelope.attempt == 1)
    }

    static let wrongHeaders: [(FieldTable?, EnvelopeError.Code)] = [
        (nil, .missingTask), ([:], .missingTask), (["id": "i"], .missingTask),
        (["task": .void, "id": "i"], .missingTask),
        (["task": "", "id": "i"], .missingTask), (["task": 7, "id": "i"], .missingTask),
        (["task": .bytes([0xFF]), "id": "i"], .missingTask), (["task": "t"], .missingID),
        (["task": "t", "id": .void], .missingID),
        (["task": "t", "id": ""], .missingID), (["task": "t", "id": 5], .missingID),
        (["task": "t", "id": .string(String(repeating: "i", count: 256))], .invalidHeader),
        (["task": .string(String(repeating: "t", count: 256)), "id": "i"], .invalidHeader),
        (["task": "t", "id": "i", "retries": "1"], .invalidHeader),
        (["task": "t", "id": "i", "retries": -1], .invalidHeader),
        (["task": "t", "id": "i", "retries": .int64(.max)], .invalidHeader),
        (["task": "t", "id": "i", "retries": .double(1)], .invalidHeader),
        (["task": "t", "id": "i", "eta": ""], .invalidETA),
        (["task": "t", "id": "i", "eta": "soon"], .invalidETA),
        (["task": "t", "id": "i", "eta": 1_795_232_137], .invalidETA),
        (["task": "t", "id": "i", "expires": "never"], .invalidExpires),
        (["task": "t", "id": "i", "expires": []], .invalidExpires),
        (["task": "t", "id": "i", "compression": "zstd"], .compressed),
        (["task": "t", "id": "i", "compression": 1], .compressed),
    ]

    @Test(arguments: wrongHeaders)
    func `Headers that are missing or wrong are each refused with their own reason`(
        headers: FieldTable?,
        code: EnvelopeError.Code
    ) throws {
        let error = try #require(throws: EnvelopeError.self) { try Envelope(decoding: message(headers)) }
        #expect(error.code == code)
    }

    @Test func `Null, absent and AMQP's own types are accepted`() throws {
        let headers: FieldTable = [
            "task": "t", "id": "i", "retries": .void, "eta": .timestamp(1_795_232_137), "expires": .void,
            "compression": .void,
            "timelimit": "odd", "lang": .void,
        ]
        let envelope = try Envelope(decoding: message(headers))
        #expect(envelope.retries == 0)
        #expect(envelope.eta?.timeIntervalSince1970 == 1_795_232_137)
        #expect(try Envelope(decoding: message(["task": "t", "id": "i", "retries": .int64(3)])).retries == 3)
    }

    @Test(arguments: [
        nil, "", "text/json", "application/x-python-serialize", "application/jsonp", "application/x-msgpack",
    ]
    )
    func `Content types other than JSON are refused`(type: String?) throws {
        var message = message(["task": "t", "id": "i"])
        message.properties.contentType = type
        let error = try #require(throws: EnvelopeError.self) { try Envelope(decoding: message) }
        #expect(error.code == .wrongContentType)
    }

    @Test(arguments: ["Application/JSON", "application/json; charset=utf-8"]
    )
    func `A parameter or capitals in the content type are read as JSON`(type: String) throws {
        var message = message(["task": "t", "id": "i"])
        message.properties.contentType = type
        #expect(try Envelope(decoding: message).name == "t")
    }

    @Test(arguments: ["utf-16", "gzip", "latin-1"])
    func `Encodings of the content other than UTF-8 are refused`(encoding: String) throws {
        var message = message(["task": "t", "id": "i"])
        message.properties.contentEncoding = encoding
        let error = try #require(throws: EnvelopeError.self) { try Envelope(decoding: message) }
        #expect(error.code == .wrongContentEncoding)
    }

    @Test func `A body over 16 MiB is refused, one of exactly that size isn't`() throws {
        let largest = [UInt8](repeating: 32, count: 16 * 1024 * 1024)
        #expect(try Envelope(decoding: message(["task": "t", "id": "i"], body: largest)).name == "t")
        let error = try #require(throws: EnvelopeError.self) {
            try Envelope(decoding: message(["task": "t", "id": "i"], body: largest + [32]))
        }
        #expect(error.code == .bodyTooLarge)
    }

    private func message(_ headers: FieldTable?, body: [UInt8] = []) -> Message {
        var properties = BasicProperties()
        properties.contentType = "application/json"
        properties.headers = headers
        return Message(properties: properties, body: body)
    }
}

@Suite struct EnvelopeDecodingPropertyTests {
    @Test func `Mutated messages are read or refused, and never more than that`() async throws {
        let rounds = PropertyRounds.count(600)
        let original = try CapturedMessage.named("echo-unicode-types")
        var generator = SeededGenerator(seed: 11)
        var refused = 0
        for _ in 0..<rounds {
            await Task.yield()
            var message = original
            let position = Int.random(in: 0..<message.body.count, using: &generator)
            message.body[position] = UInt8.random(in: 0...255, using: &generator)
            if Bool.random(using: &generator) { message.body.removeLast(position) }
            do {
                _ = try Envelope(decoding: message).payload(as: Echo.self)
            } catch { refused += 1 }
        }
        #expect(refused > rounds / 3)
    }

    private struct Echo: Decodable { var s: String }
}
