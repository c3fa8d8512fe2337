import AMQP
import ArgumentParser
import Testing

@testable import Warren
@testable import WarrenCommands

struct BrokerCheckTests {
    @Test(arguments: BrokerFeatures.testedSeries)
    func `A healthy broker of each tested version has no findings`(version: BrokerVersion) {
        #expect(Diagnosis(.healthy(version)).findings == [])
        #expect(Diagnosis(.healthy(version)).exitCode == .success)
    }

    @Test(arguments: [
        (BrokerVersion(3, 9, 29), Finding.Severity.error), (BrokerVersion(3, 13, 7), .note),
        (BrokerVersion(4, 4), .note),
    ]
    )
    func `A version is an error if it is too old, and a note if it isn't tested`(
        version: BrokerVersion,
        severity: Finding.Severity
    ) {
        #expect(VersionCheck.findings(.healthy(version)).map(\.severity) == [severity])
    }

    @Test func `Another product is a warning`() {
        var facts = DoctorFacts.healthy()
        facts.broker.product = "LavinMQ"
        #expect(VersionCheck.findings(facts).map(\.severity) == [.warning])
    }

    @Test func `Without the management API, a note lists the omitted checks and how to enable them`() throws {
        var facts = DoctorFacts.healthy()
        facts.management = nil
        let finding = try #require(AccessCheck.findings(facts).first)
        #expect(finding.severity == .note && finding.remedy.contains("--management"))
    }

    @Test func `A configured management API that doesn't answer is a warning`() {
        var facts = DoctorFacts.healthy()
        facts.management = ManagementFacts(failure: "nothing there")
        #expect(AccessCheck.findings(facts).map(\.severity) == [.warning])
    }

    @Test func `Requests that the management API refuses are a note, and so are queues that can't be compared`() {
        var facts = DoctorFacts.healthy()
        facts.management?.unreadable = ["policies (HTTP status 401)"]
        facts.inspection.notCompared = [TopologyPlan.Entry(kind: "queue", name: "emails", details: "")]
        facts.publishing = .notTried(reason: "access refused")
        let findings = AccessCheck.findings(facts)
        #expect(findings.map(\.severity) == [.note, .note, .note])
        #expect(findings[0].problem.contains("policies (HTTP status 401)"))
        #expect(findings[1].problem.contains("'emails'"))
    }

    @Test func `A broker that blocks publishers is an error with its reason`() throws {
        var facts = DoctorFacts.healthy()
        facts.publishing = .blocked(reason: "low on memory")
        let finding = try #require(AlarmCheck.findings(facts).first)
        #expect(finding.severity == .error && finding.problem.contains("low on memory"))
        facts.publishing = .unanswered
        #expect(AlarmCheck.findings(facts).map(\.severity) == [.warning])
    }

    @Test func `A node's alarms are errors that name it`() {
        var facts = DoctorFacts.healthy()
        facts.management?.nodes = [
            ManagedNode(name: "rabbit@two", running: true, memAlarm: true, diskFreeAlarm: true)
        ]
        let findings = AlarmCheck.findings(facts)
        #expect(findings.map(\.severity) == [.error, .error])
        #expect(findings.allSatisfy { $0.subject == "rabbit@two" })
    }

    @Test func `A node that is down is a warning, one that is partitioned an error`() {
        var facts = DoctorFacts.healthy()
        facts.management?.nodes = [
            ManagedNode(name: "a", running: false), ManagedNode(name: "b", running: true, partitions: ["c"]),
        ]
        #expect(NodeCheck.findings(facts).map(\.severity) == [.warning, .error])
    }

    @Test
    func
        `A queue with missing members is a warning, one without a majority an error, and other applications' queues don't count`()
    {
        var facts = DoctorFacts.healthy()
        facts.management?.queues = [
            ManagedQueue(name: "emails", members: ["a", "b", "c"], online: ["a", "b"]),
            ManagedQueue(name: "emails.dead", members: ["a", "b", "c"], online: ["a"]),
            ManagedQueue(name: "someone's", members: ["a", "b", "c"], online: ["a"]),
        ]
        let findings = NodeCheck.findings(facts)
        #expect(findings.map(\.severity) == [.warning, .error])
        #expect(findings.map(\.subject) == ["emails", "emails.dead"])
    }

    @Test(arguments: [
        (-1.0...3.0, nil), (2.5...4.5, Finding.Severity.warning), (-40.0 ... -31.0, .error), (1.0...3.0, nil),
    ]
    )
    func `A skew is reported beyond two seconds, and is an error beyond thirty`(
        range: ClosedRange<Double>,
        severity: Finding.Severity?
    ) {
        var facts = DoctorFacts.healthy()
        facts.management?.skew = ClockSkew(range)
        #expect(ClockCheck.findings(facts).map(\.severity) == [severity].compactMap { $0 })
    }

    @Test func `A skew allows for the request's time and for the header's whole seconds`() {
        #expect(ClockSkew(date: 100, sent: 99.9, received: 100.4).minimum == 0)
        #expect(ClockSkew(date: 110, sent: 100, received: 101).minimum == 9)
        #expect(ClockSkew(date: 110, sent: 100, received: 101).isAhead)
        #expect(!ClockSkew(date: 90, sent: 100, received: 101).isAhead)
        // The clock here was set back in between.
        #expect(ClockSkew(date: 100, sent: 102, received: 99).minimum == 0)
    }

    @Test func `An HTTP date is parsed, and other text is refused`() {
        #expect(HTTPDate.seconds("Sun, 06 Nov 1994 08:49:37 GMT") == 784_111_777)
        #expect(HTTPDate.seconds("yesterday") == nil)
    }
}
