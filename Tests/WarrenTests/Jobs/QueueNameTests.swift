import Testing
import Warren

@Suite struct QueueNameTests {
    @Test(
        "Names of letters, digits, dashes, underscores, colons and dots are good",
        arguments: ["emails", "eu.orders", "a", "A-1_b:c.d", "dead", "high.emails", String(repeating: "q", count: 199)]
    )
    func good(name: String) throws {
        try QueueName(name).validate()
    }

    @Test(
        "Other names are refused",
        arguments: [
            "", "a b", "emäils", "a*", "#", "a.#", "a/b", ".a", "a.", "a..b", "emails.dead", "emails.parked",
            "emails.high", "emails.low",
            "amq.gen", "warren.delay.v1.level-00", "a\n", "a\0", String(repeating: "q", count: 200),
        ]
    )
    func bad(name: String) throws {
        let error = try #require(throws: WarrenError.self) { try QueueName(name).validate() }
        #expect(error.code == .invalidQueueName)
        #expect(!error.isRetriable && error.outcomeIsKnown)
    }

    @Test("A queue's companions are named after it")
    func companions() {
        let queue: QueueName = "emails"
        #expect(queue.dead == "emails.dead")
        #expect(queue.parked == "emails.parked")
        #expect(Lane.all.map { $0.queue(of: queue) } == ["emails.high", "emails", "emails.low"])
    }

    @Test("A lane is found by its name")
    func lane() {
        #expect(Lane(named: "high") == .high)
        #expect(Lane(named: "urgent") == nil)
    }
}
