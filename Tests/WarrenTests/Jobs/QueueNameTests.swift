import Testing
import Warren

@Suite struct QueueNameTests {
    @Test(arguments: [
        "emails", "eu.orders", "a", "A-1_b:c.d", "dead", "high.emails", String(repeating: "q", count: 199),
    ]
    )
    func `Names of letters, digits, dashes, underscores, colons and dots are good`(name: String) throws {
        try QueueName(name).validate()
    }

    @Test(arguments: [
        "", "a b", "emäils", "a*", "#", "a.#", "a/b", ".a", "a.", "a..b", "emails.dead", "emails.parked",
        "emails.high", "emails.low",
        "amq.gen", "warren.delay.v1.level-00", "a\n", "a\0", String(repeating: "q", count: 200),
    ]
    )
    func `Other names are refused`(name: String) throws {
        let error = try #require(throws: WarrenError.self) { try QueueName(name).validate() }
        #expect(error.code == .invalidQueueName)
        #expect(!error.isRetriable && error.outcomeIsKnown)
    }

    @Test func `A queue's companions are named after it`() {
        let queue: QueueName = "emails"
        #expect(queue.dead == "emails.dead")
        #expect(queue.parked == "emails.parked")
        #expect(Lane.all.map { $0.queue(of: queue) } == ["emails.high", "emails", "emails.low"])
    }

    @Test func `A lane is found by its name`() {
        #expect(Lane(named: "high") == .high)
        #expect(Lane(named: "urgent") == nil)
    }
}
