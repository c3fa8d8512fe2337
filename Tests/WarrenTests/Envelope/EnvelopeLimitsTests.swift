import AMQP
import Foundation
import Testing

@testable import Warren

/// Messages over a limit are refused with a reason before they cost anything.
@Suite struct EnvelopeLimitsTests {
    private func envelopeError(_ change: (inout Message) -> Void) throws -> EnvelopeError {
        var message = try Envelope(encoding: Tidy(), now: noon).message
        change(&message)
        return try #require(throws: EnvelopeError.self) {
            _ = try Envelope(decoding: message).payload(as: Tidy.self)
        }
    }

    private func nested(_ depth: Int) -> FieldValue {
        (0..<depth).reduce(FieldValue.int8(1)) { value, level in level % 2 == 0 ? .array([value]) : .table(["a": value])
        }
    }

    @Test func `Headers may be nested 32 levels deep, the table of all headers included`() throws {
        var message = try Envelope(encoding: Tidy(), now: noon).message
        message.properties.headers?["deep"] = nested(31)
        #expect(throws: Never.self) { try Envelope(decoding: message) }
        let error = try envelopeError { $0.properties.headers?["deep"] = nested(32) }
        #expect(error.code == .tooDeep)
    }

    @Test func `A message without its headers is refused with the transport's reason for leaving them out`() throws {
        let error = try envelopeError { $0.properties.headers?[FieldTable.omittedHeaders] = "The header 'x' is odd." }
        #expect(error.code == .tooDeep)
        #expect(error.message == "The header 'x' is odd.")
    }

    @Test func `A thousand headers are accepted, and one more is not`() throws {
        let error = try envelopeError { message in
            for number in 0...Envelope.maximumHeaderCount { message.properties.headers?["h\(number)"] = true }
        }
        #expect(error.code == .tooManyHeaders)
    }

    @Test func `Headers that would leave no room for a failure record are refused`() throws {
        let error = try envelopeError { $0.properties.headers?["big"] = .bytes([UInt8](repeating: 0, count: 121_000)) }
        #expect(error.code == .headersTooLarge)
    }

    @Test(arguments: [129, 100_000]) func `A body nested too deeply is refused, however deep it is`(
        depth: Int
    ) throws {
        for (open, close) in [("[", "]"), (#"{"a":"#, "}")] {
            let deep = String(repeating: open, count: depth - 2) + "1" + String(repeating: close, count: depth - 2)
            let error = try envelopeError { $0.body = Array(#"[[],{"x":\#(deep)},{}]"#.utf8) }
            #expect(error.code == .tooDeep)
            let unclosed = try envelopeError { $0.body = Array(String(repeating: open, count: depth).utf8) }
            #expect(unclosed.code == .tooDeep)
        }
    }

    @Test func `Brackets inside of a string don't nest`() throws {
        var message = try Envelope(encoding: Tidy(), now: noon).message
        let text = String(repeating: #"[{\"\\"#, count: 1_000)
        message.body = Array(#"[[],{"x":"\#(text)"},{}]"#.utf8)
        #expect(throws: Never.self) { try Envelope(decoding: message).payload(as: Tidy.self) }
    }

    @Test func `The quotes of JSON5 can't hide brackets`() throws {
        let deep = String(repeating: "[", count: 400) + String(repeating: "]", count: 400)
        let error = try envelopeError { $0.body = Array(#"[[],{"x":NaN,"y":'"',"z":\#(deep)},{}]"#.utf8) }
        #expect(error.code == .notJSON)
    }

    @Test func `A frame full of small headers is trimmed to the limit in one pass`() {
        var headers = FieldTable()
        for number in 0..<30_000 { headers.append(.void, uniqueName: String(number, radix: 36)) }
        headers["id"] = "one"
        let before = headers.count
        HeaderLimits.trim(&headers)
        #expect(headers.wireSize <= HeaderLimits.maximumSize + 1_000)
        #expect(headers["id"] == "one")
        #expect(headers.count < before)
    }
}
