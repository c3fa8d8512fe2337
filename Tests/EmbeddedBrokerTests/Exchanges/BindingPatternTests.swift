import AMQP
import Testing

@testable import EmbeddedBroker

@Suite struct TopicPatternTests {
    @Test(arguments: [
        ("a.b", "a.b", true), ("a.b", "a.c", false), ("*.b", "a.b", true), ("*.b", "b", false), ("*", "", false),
        ("#", "", true), ("#", "a.b.c", true), ("a.#", "a", true), ("a.#", "a.b.c", true), ("a.#", "b.a", false),
        ("#.a", "a", true), ("#.a", "b.c.a", true), ("#.a", "a.b", false), ("a.#.b", "a.b", true),
        ("a.#.b", "a.x.b.y.b", true), ("a.#.b.#.c", "a.b.x.c", true), ("a.#.b.#.c", "a.c.b", false),
        ("#.*", "a", true), ("#.*", "", false), ("*.#", "a", true), ("*.*", "a..", false), ("a.*.b", "a..b", true),
        ("#.#", "", true), ("", "", true), ("", "a", false), ("#.a.*", "a.a", true),
    ])
    func `A pattern matches the right keys`(pattern: String, key: String, isTaken: Bool) {
        #expect(TopicPattern(pattern).matches(TopicPattern.words(of: key)) == isTaken)
    }
}

@Suite struct HeadersPatternTests {
    @Test func `All requires each header, except names that begin with x-`() {
        let pattern = HeadersPattern(["x-match": "all", "kind": "letter", "size": 3, "x-trace": 1])
        #expect(pattern.matches(["kind": "letter", "size": .int64(3), "more": 1]))
        #expect(!pattern.matches(["kind": "letter"]))
        #expect(!pattern.matches(nil))
    }

    @Test func `Any requires one header, and matches nothing without any`() {
        let pattern = HeadersPattern(["x-match": "any", "kind": "letter", "size": 3])
        #expect(pattern.matches(["size": 3]))
        #expect(!pattern.matches(["size": 4, "kind": "parcel"]))
        #expect(!HeadersPattern(["x-match": "any"]).matches(["kind": "letter"]))
        #expect(HeadersPattern([:]).matches(nil))
    }

    @Test func `With x, names that begin with x- count too`() {
        #expect(!HeadersPattern(["x-match": "all-with-x", "x-trace": 1]).matches(["x-trace": 2]))
        #expect(HeadersPattern(["x-match": "any-with-x", "x-trace": 1]).matches(["x-trace": 1]))
    }

    @Test func `A void value only requires the header to be present`() {
        let pattern = HeadersPattern(["kind": .void])
        #expect(pattern.matches(["kind": "anything"]))
        #expect(!pattern.matches(["size": 1]))
    }
}
