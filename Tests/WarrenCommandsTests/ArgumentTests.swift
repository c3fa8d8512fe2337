import ArgumentParser
import Testing
import Warren

@testable import WarrenCommands

struct ArgumentTests {
    @Test(arguments: [
        ("90", Duration.seconds(90)), ("90s", .seconds(90)), ("1.5h", .seconds(5_400)), ("1h30m", .seconds(5_400)),
        ("250ms", .milliseconds(250)), ("0.25", .milliseconds(250)), ("2d", .seconds(172_800)), ("0", .zero),
    ]
    )
    func `A duration has one unit, several, or none`(text: String, duration: Duration) {
        #expect(DurationArgument(argument: text)?.duration == duration)
    }

    @Test(arguments: [
        "", "s", "-1", "1x", "1h30", "1e3", "nan", "inf", "1.2.3s", " 1s", "1 s", "٣s", "99999999999999d",
    ]
    )
    func `An invalid duration is refused`(text: String) {
        #expect(DurationArgument(argument: text) == nil)
    }

    @Test func `Queues are separated by commas, and may have a concurrency`() {
        let items = QueueArgument(argument: "emails,eu.reports=4")?.items
        #expect(items == [.init(name: "emails"), .init(name: "eu.reports", concurrency: 4)])
    }

    @Test(arguments: ["", "a,", "a=x", "a=", "a=-1", "a.dead", "a b", "a=1=2"])
    func `An invalid queue name is refused`(text: String) {
        #expect(QueueArgument(argument: text) == nil)
    }

    @Test func `Lanes are drained strictly or by weight`() throws {
        #expect(try LanePolicy(argument: "strict") == .strict)
        #expect(try LanePolicy(argument: "weighted") == .weighted([:]))
        #expect(
            try LanePolicy(argument: "weighted:high=6,normal=3,low=1") == .weighted([.high: 6, .normal: 3, .low: 1])
        )
    }

    @Test(arguments: [
        "", "strict:high=1", "weighted:", "weighted:high", "weighted:high=0", "weighted:urgent=1", "fair",
    ]
    )
    func `An invalid lane policy is refused`(text: String) {
        #expect(throws: ValidationError.self) { try LanePolicy(argument: text) }
    }
}
