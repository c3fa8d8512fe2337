import AMQP
import Foundation
import Testing

@testable import Warren

@Suite struct EnvelopeEncodingTests {
    private let job = SendEmail(to: "a@b.c", subject: "Hi / there")

    @Test func `The message has every header of the protocol, in Celery's types and order`() throws {
        let envelope = try Envelope(encoding: job, id: "the-id", eta: noon, expires: noon + 60, now: noon)
        let expected: [(String, FieldValue)] = [
            ("lang", "swift"), ("task", "emails.send"), ("id", "the-id"), ("shadow", .void),
            ("eta", "2026-11-21T03:35:37.755313+00:00"), ("expires", "2026-11-21T03:36:37.755313+00:00"),
            ("group", .void),
            ("group_index", .void), ("retries", .int32(0)), ("timelimit", [.void, .void]), ("root_id", "the-id"),
            ("parent_id", .void), ("argsrepr", "()"), ("kwargsrepr", "{…}"),
            ("origin", .string(EnvelopeWriter.origin)), ("ignore_result", true),
            ("replaced_task_nesting", .int32(0)),
            ("stamped_headers", .void), ("stamps", [:]), ("warren-enqueued-at", .int64(1_795_232_137_755_313)),
        ]
        #expect(envelope.headers.map(\.name) == expected.map(\.0))
        for (name, value) in expected { #expect(envelope.headers[name] == value, "\(name)") }
    }

    @Test func `Every header that Celery sends is sent, and with the same type of value or null`() throws {
        let theirs = try CapturedMessage.named("add").properties
        let ours = try Envelope(encoding: job, now: noon).message.properties
        for (name, _) in try #require(theirs.headers) { #expect(ours.headers?[name] != nil, "\(name)") }
        #expect(ours.contentType == theirs.contentType)
        #expect(ours.contentEncoding == theirs.contentEncoding)
        #expect(ours.deliveryMode == theirs.deliveryMode)
    }

    @Test func `The properties describe the message, and never let the broker drop it`() throws {
        let properties = try Envelope(encoding: job, id: "the-id", expires: noon + 60, now: noon).message.properties
        #expect(properties.messageID == "the-id")
        #expect(properties.correlationID == "the-id")
        #expect(properties.timestamp == 1_795_232_137)
        #expect(properties.deliveryMode == .persistent)
        #expect(properties.expiration == nil)
    }

    @Test func `The body is the three-part array, byte for byte`() throws {
        let body = try Envelope(encoding: Tidy(), now: noon).message.body
        #expect(
            String(decoding: body, as: UTF8.self)
                == #"[[],{},{"callbacks":null,"errbacks":null,"chain":null,"chord":null}]"#
        )
    }

    @Test func `Our own messages decode to the same job`() throws {
        let sent = try Envelope(encoding: job, lane: .high, eta: noon + 5, expires: noon + 60, now: noon)
        let read = try Envelope(decoding: sent.message)
        #expect(read.id == sent.id)
        #expect(read.name == "emails.send")
        #expect(try abs(#require(read.eta).timeIntervalSince(noon + 5)) < 0.000_001)
        #expect(try abs(#require(read.expires).timeIntervalSince(noon + 60)) < 0.000_001)
        #expect(try abs(#require(read.enqueuedAt).timeIntervalSince(noon)) < 0.000_001)
        #expect(read.headers["warren-lane"] == "high")
    }

    @Test func `A payload that doesn't encode to an object is an error that names the job`() throws {
        struct Listed: Job {
            static let name = "listed"
            static let queue: QueueName = "q"
            func encode(to encoder: any Encoder) throws {
                var container = encoder.unkeyedContainer()
                try container.encode(1)
            }
        }
        let error = try #require(throws: WarrenError.self) { try Envelope(encoding: Listed(), now: noon) }
        #expect(error.code == .payloadNotEncodable)
        #expect(error.message.contains("'listed'"))
    }

    @Test func `A payload that can't be encoded is an error that names the job and has the cause`() throws {
        struct Broken: Job {
            static let name = "broken"
            static let queue: QueueName = "q"
            var ratio = Double.nan
        }
        let error = try #require(throws: WarrenError.self) { try Envelope(encoding: Broken(), now: noon) }
        #expect(error.code == .payloadNotEncodable)
        #expect(error.underlying is EncodingError)
    }

    @Test func `A body over 16 MiB is an error before anything is sent`() throws {
        let job = SendEmail(to: "a", subject: String(repeating: "x", count: 16 * 1024 * 1024))
        let error = try #require(throws: WarrenError.self) { try Envelope(encoding: job, now: noon) }
        #expect(error.code == .payloadTooLarge)
    }

    @Test func `The payload is displayed only if asked for, cut between characters`() throws {
        let writer = EnvelopeWriter(showsPayload: true)
        for length in 990...1_030 {
            let job = SendEmail(to: String(repeating: "x", count: length), subject: String(repeating: "é€😀", count: 40))
            let message = try writer.message(for: request(try EnvelopeWriter.encode(job)), now: noon)
            let shown = try #require(message.properties.headers?["kwargsrepr"]?.stringValue)
            #expect(shown.utf8.count <= 1_024)
            #expect(!shown.contains("\u{FFFD}"))
            #expect(shown.hasPrefix(#"{""#))
        }
        let hidden = try EnvelopeWriter().message(for: request(), now: noon)
        #expect(hidden.properties.headers?["kwargsrepr"] == "{…}")
    }

    @Test func `Custom headers are added, and can't replace what the protocol needs`() throws {
        let envelope = try Envelope(
            encoding: job,
            id: "the-id",
            headers: ["tenant": "acme", "id": "other", "retries": 9, "timelimit": [1], "shadow": "Mail"],
            now: noon
        )
        #expect(envelope.headers["tenant"] == "acme")
        #expect(envelope.headers["shadow"] == "Mail")
        #expect(envelope.headers["id"] == "the-id")
        #expect(envelope.headers["retries"] == .int32(0))
        #expect(envelope.headers["timelimit"] == [.void, .void])
    }

    @Test func `Headers that don't fit into one frame are refused`() throws {
        let headers: FieldTable = ["huge": .string(String(repeating: "x", count: 130_000))]
        let error = try #require(throws: WarrenError.self) { try Envelope(encoding: job, headers: headers, now: noon) }
        #expect(error.code == .headersTooLarge)
    }

    @Test func `The computed size of headers is their size on the wire`() throws {
        for capture in ["add", "custom-headers", "delayed", "stamped"] {
            let headers = try #require(CapturedMessage.named(capture).properties.headers)
            #expect(headers.wireSize == (try headers.encoded().count))
        }
        let odd: FieldTable = [
            "a": .int8(1), "b": .uint8(1), "c": .int16(1), "d": .uint16(1), "e": .uint32(1), "f": .float(1),
            "g": .double(1),
            "h": .decimal(FieldDecimal(scale: 1, value: 1)), "i": .bytes([1, 2]), "j": .timestamp(1),
            "k": .array([.bool(true)]),
        ]
        #expect(odd.wireSize == (try odd.encoded().count))
    }

    private func request(_ payload: Data = Data("{}".utf8)) -> EnqueueRequest {
        EnqueueRequest(
            id: "i",
            name: "t",
            queue: "q",
            lane: .normal,
            headers: FieldTable(),
            deadline: .now,
            payload: payload
        )
    }
}
