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
    func `a pattern takes the keys that it should`(pattern: String, key: String, isTaken: Bool) {
        #expect(TopicPattern(pattern).matches(TopicPattern.words(of: key)) == isTaken)
    }
}
