import AMQP
import Testing

@testable import EmbeddedBroker

@Suite struct HeadersPatternTests {
    @Test func `all asks for each header, and names that begin with x- don't count`() {
        let pattern = HeadersPattern(["x-match": "all", "kind": "letter", "size": 3, "x-trace": 1])
        #expect(pattern.matches(["kind": "letter", "size": .int64(3), "more": 1]))
        #expect(!pattern.matches(["kind": "letter"]))
        #expect(!pattern.matches(nil))
    }

    @Test func `any asks for one header, and with none to ask for takes nothing`() {
        let pattern = HeadersPattern(["x-match": "any", "kind": "letter", "size": 3])
        #expect(pattern.matches(["size": 3]))
        #expect(!pattern.matches(["size": 4, "kind": "parcel"]))
        #expect(!HeadersPattern(["x-match": "any"]).matches(["kind": "letter"]))
        #expect(HeadersPattern([:]).matches(nil))
    }

    @Test func `with x, names that begin with x- count too`() {
        #expect(!HeadersPattern(["x-match": "all-with-x", "x-trace": 1]).matches(["x-trace": 2]))
        #expect(HeadersPattern(["x-match": "any-with-x", "x-trace": 1]).matches(["x-trace": 1]))
    }

    @Test func `a void value asks only that the header is there`() {
        let pattern = HeadersPattern(["kind": .void])
        #expect(pattern.matches(["kind": "anything"]))
        #expect(!pattern.matches(["size": 1]))
    }
}
