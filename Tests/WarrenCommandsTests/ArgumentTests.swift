import AMQP
import ArgumentParser
import Foundation
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

    @Test(arguments: [
        ("2026-11-21T06:30:00Z", 1_795_242_600.0), ("2026-11-21T07:30:00.5+01:00", 1_795_242_600.5),
        ("2026-11-21 06:30:00z", 1_795_242_600.0), ("1969-12-31T23:59:59-00:00", -1.0),
    ])
    func `A point in time has a date, a time and an offset from UTC`(text: String, seconds: Double) {
        #expect(InstantArgument(argument: text)?.date == Date(timeIntervalSince1970: seconds))
    }

    @Test(arguments: [
        "", "tomorrow", "2026-11-21", "06:30:00Z", "2026-11-21T06:30:00", "2026-11-21T06:30Z", "2026-02-30T06:30:00Z",
        "2026-11-21T24:30:00Z", "2026-11-21T06:30:00+0100", "2026-11-21T06:30:00Zzz", "1795242600",
    ])
    func `A time that leaves something to guess is refused`(text: String) {
        #expect(InstantArgument(argument: text) == nil)
    }

    @Test func `A header is a name and a text, which may hold further equals signs`() throws {
        let headers = try ["tenant=acme", "filter=a=b", "empty="].map(HeaderArgument.init(argument:))
        #expect(try HeaderArgument.table(headers) == ["tenant": "acme", "filter": "a=b", "empty": ""])
    }

    @Test(arguments: [("tenant", "its name, '='"), ("=x", "1 to 255 bytes"), ("id=7", "'id' is the protocol's own")])
    func `A header that can't be sent is refused with the reason`(text: String, reason: String) {
        let error = #expect(throws: ValidationError.self) { try HeaderArgument(argument: text) }
        #expect(error?.message.contains(reason) == true)
    }

    @Test func `The queues that are bound by their names are the application's, each with its lanes`() {
        func bound(_ queue: String, _ key: String? = nil) -> Binding {
            Binding(from: "warren", to: .queue(queue), routingKey: key ?? queue)
        }
        let queues = BoundQueues([
            bound("emails"), bound("emails.high"), bound("eu.reports"), bound("audit", "#"), bound("amq.gen-1"),
            Binding(from: "warren", to: .exchange("other"), routingKey: "other"),
        ])
        #expect(queues.names == ["emails", "eu.reports"])
        var topology = Topology(queues: [QueueConfiguration("emails", kind: .classic)])
        queues.addLanes(to: &topology)
        #expect(topology.configuration(of: "emails").lanes == [.high, .normal])
        #expect(topology.configuration(of: "emails").kind == .classic)
        #expect(topology.configuration(of: "eu.reports").lanes == [.normal])
    }
}
