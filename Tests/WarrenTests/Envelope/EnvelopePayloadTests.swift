import AMQP
import Foundation
import Testing

@testable import Warren

@Suite struct EnvelopePayloadTests {
    private static let embed = #"{"callbacks": null, "errbacks": null, "chain": null, "chord": null}"#

    private struct Typed: Decodable {
        struct Wrapped: Decodable {
            var type: String

            enum CodingKeys: String, CodingKey {
                case type = "__type__"
            }
        }
        var s: String
        var n: Int?
        var f: Double
        var l: [Int]
        var d: [String: Int]
        var b: Wrapped
        var big: Double
    }

    @Test func `Unicode, nested values, big numbers and Celery's typed values are decoded unchanged`() throws {
        let payload = try Envelope(decoding: CapturedMessage.named("echo-unicode-types")).payload(as: Typed.self)
        #expect(payload.s == "héllo")
        #expect(payload.n == nil)
        #expect(payload.l == [1, 2])
        #expect(payload.d == ["a": 1])
        #expect(payload.b.type == "base64")
        #expect(payload.big == 1_180_591_620_717_411_303_424)
    }

    @Test func `Positional arguments are refused with a reason`() throws {
        let envelope = try Envelope(decoding: CapturedMessage.named("add"))
        let error = try #require(throws: EnvelopeError.self) { try envelope.payload(as: SendEmail.self) }
        #expect(error.code == .positionalArguments)
        #expect(error.message.contains("2 positional"))
    }

    @Test func `A job of ours decodes to the same value`() throws {
        let job = SendEmail(to: "ada@example.com", subject: #"quotes " and / and ünï"#, copies: 3, due: noon)
        let sent = try Envelope(encoding: job, now: noon)
        #expect(try Envelope(decoding: sent.message).payload(as: SendEmail.self) == job)
        #expect(try Envelope(encoding: Tidy(), now: noon).payload(as: Tidy.self) == Tidy())
    }

    static let wrongBodies: [(String, EnvelopeError.Code)] = [
        ("", .notJSON), (" ", .notJSON), ("{", .notJSON), ("[[], {}, {}", .notJSON), ("[[],{},{}]]", .notJSON),
        ("nope", .notJSON),
        ("[[],{\"to\":},{}]", .notJSON), ("null", .notThreeParts), ("7", .notThreeParts), ("\"abc\"", .notThreeParts),
        ("{}", .notThreeParts), (#"{"args":[],"kwargs":{}}"#, .notThreeParts), ("[]", .notThreeParts),
        ("[[]]", .notThreeParts),
        ("[[],{}]", .notThreeParts), ("[[],{},{},{}]", .notThreeParts), ("[{},{},{}]", .notThreeParts),
        ("[null,{},{}]", .notThreeParts),
        ("[[],[],{}]", .notThreeParts), ("[[],null,{}]", .notThreeParts), ("[[],\"x\",{}]", .notThreeParts),
        ("[[],{},[]]", .payloadMismatch),
        (#"[[],{"to":"a","subject":"b","copies":1},[]]"#, .notThreeParts), ("[[1],{},{}]", .positionalArguments),
        ("[[],{},{}]", .payloadMismatch), (#"[[],{"to":1,"subject":"b","copies":1},{}]"#, .payloadMismatch),
        (#"[[],{"to":null,"subject":"b","copies":1},{}]"#, .payloadMismatch),
        (#"[[],{"to":"a","subject":"b","copies":1.5},{}]"#, .payloadMismatch),
        (#"[[],{"to":"a","subject":"b","copies":1,"due":"soon"},{}]"#, .payloadMismatch),
        (#"[[],{"a":1},{},{"callbacks":null,"errbacks":null,"chain":null,"chord":null}]"#, .notThreeParts),
    ]

    @Test(arguments: wrongBodies)
    func `Each kind of malformed body is refused with its reason`(body: String, code: EnvelopeError.Code) throws {
        let envelope = envelope(body)
        let error = try #require(throws: EnvelopeError.self) { try envelope.payload(as: SendEmail.self) }
        #expect(error.code == code, "\(error)")
    }

    @Test func `A job without a payload also refuses keyword arguments that aren't an object`() throws {
        let error = try #require(throws: EnvelopeError.self) { try envelope("[[],[1],{}]").payload(as: Tidy.self) }
        #expect(error.code == .notThreeParts)
    }

    @Test func `The error about a mismatch names the argument and the type, and never the value`() throws {
        struct Order: Decodable {
            struct Item: Decodable { var count: Int }
            var items: [Item]
        }
        let body = #"[[], {"items": [{"count": 1}, {"count": "secret"}]}, {}]"#
        let error = try #require(throws: EnvelopeError.self) { try envelope(body).payload(as: Order.self) }
        #expect(error.message.contains("items.[1].count"))
        #expect(error.message.contains("Int"))
        #expect(!error.message.contains("secret"))
    }

    @Test func `The error about a missing argument names it`() throws {
        let error = try #require(throws: EnvelopeError.self) {
            try envelope(#"[[],{"to":"a","copies":1},{}]"#).payload(as: SendEmail.self)
        }
        #expect(error.message.contains("'subject' is missing"))
    }

    @Test func `Bytes that aren't UTF-8 aren't JSON`() throws {
        let body = Array("[[],{\"to\":\"".utf8) + [0xC3, 0x28] + Array("\",\"subject\":\"b\",\"copies\":1},{}]".utf8)
        let error = try #require(throws: EnvelopeError.self) { try envelope(body).payload(as: SendEmail.self) }
        #expect(error.code == .notJSON || error.code == .payloadMismatch)
    }

    @Test(arguments: [[0xC3, 0x28], [0xF8], [0xFF], [0xE2, 0x82], [0xED, 0xA0, 0x80]] as [[UInt8]])
    func `Nor are they with the numbers that only Python writes`(bytes: [UInt8]) throws {
        let body = Array("[[],{\"to\":NaN,".utf8) + bytes + Array(":1},{}]".utf8)
        let error = try #require(throws: EnvelopeError.self) { try envelope(body).payload(as: SendEmail.self) }
        #expect(error.code == .notJSON)
    }

    @Test func `JSON that is nested a hundred thousand deep is refused`() throws {
        let body =
            "[[]," + String(repeating: #"{"a":"#, count: 100_000) + "1" + String(repeating: "}", count: 100_000)
            + ",{}]"
        let error = try #require(throws: EnvelopeError.self) { try envelope(body).payload(as: SendEmail.self) }
        #expect(error.code == .tooDeep)
    }

    @Test func `The numbers that only Python writes are accepted`() throws {
        struct Numbers: Decodable {
            var a: Double
            var b: Double
            var c: Double
        }
        let numbers = try envelope(#"[[], {"a": NaN, "b": Infinity, "c": -Infinity}, \#(Self.embed)]"#).payload(
            as: Numbers.self
        )
        #expect(numbers.a.isNaN)
        #expect(numbers.b == .infinity)
        #expect(numbers.c == -.infinity)
    }

    @Test func `Arguments that the job doesn't know are ignored`() throws {
        let body =
            #"[[], {"to": "a", "subject": "b", "copies": 2, "new": [1, {"x": null}]}, {"callbacks": [], "odd": 1}]"#
        #expect(try envelope(body).payload(as: SendEmail.self) == SendEmail(to: "a", subject: "b", copies: 2))
    }

    private func envelope(_ body: String) -> Envelope { envelope(Array(body.utf8)) }

    private func envelope(_ body: [UInt8]) -> Envelope {
        Envelope(id: "i", name: "t", retries: 0, eta: nil, expires: nil, message: Message(body: body))
    }
}
