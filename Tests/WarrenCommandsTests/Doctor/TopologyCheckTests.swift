import AMQP
import Testing
import Warren

@testable import WarrenCommands

struct TopologyCheckTests {
    @Test func `A queue that was never declared is one warning for all its parts`() {
        var facts = DoctorFacts.healthy()
        facts.remove("warren", "warren.dead", "emails", "emails.dead", "emails.parked")
        let findings = TopologyCheck.findings(facts)
        #expect(findings.map(\.subject) == ["warren", "warren.dead", "emails"])
        #expect(findings.allSatisfy { $0.severity == .warning })
    }

    @Test func `A missing part of an existing queue is an error`() {
        var facts = DoctorFacts.healthy()
        facts.remove("warren.dead", "emails.dead")
        let findings = TopologyCheck.findings(facts)
        #expect(findings.map(\.subject) == ["warren.dead", "emails.dead"])
        #expect(findings.allSatisfy { $0.severity == .error })
    }

    @Test(arguments: [
        ("x-dead-letter-exchange", Finding.Severity.error), ("x-overflow", .warning), ("durable", .error),
        ("x-expires", .error),
        ("x-queue-type", .warning), ("x-something-new", .warning),
    ]
    )
    func `A difference is reported with its consequence and severity`(
        argument: String,
        severity: Finding.Severity
    ) throws {
        var facts = DoctorFacts.healthy()
        facts.differ("emails", argument, planned: "a", existing: "b")
        let finding = try #require(TopologyCheck.findings(facts).first)
        #expect(finding.severity == severity)
        #expect(finding.problem == "The queue 'emails' has \(argument) 'b'; 'a' is planned.")
        #expect(finding.remedy == "Do something.")
    }

    @Test func `A time to live is reported by the role of the queue`() {
        var facts = DoctorFacts.healthy()
        for name in ["emails", "emails.dead", "emails.parked"] {
            facts.differ(name, "x-message-ttl", planned: nil, existing: "1000")
        }
        let findings = TopologyCheck.findings(facts)
        #expect(findings.map(\.severity) == [.error, .error, .warning])
        #expect(Set(findings.map(\.consequence)).count == 3)
    }

    @Test func `A missing ladder is a warning before the first use, and an error beside existing queues`() {
        var facts = DoctorFacts.healthy()
        facts.inspection.missing = facts.plan.entries.filter { DoctorFacts.ladderNames.contains($0.name) }
        #expect(LadderCheck.findings(facts).map(\.severity) == [.error])
        facts.remove("emails")
        #expect(LadderCheck.findings(facts).map(\.severity) == [.warning])
        #expect(TopologyCheck.findings(facts).map(\.subject) == ["emails"])
    }

    @Test func `A gap in the ladder and its undeliverable messages are reported`() {
        var facts = DoctorFacts.healthy()
        facts.remove(DelayLadder.name(ofLevel: 7))
        facts.unrouted = 3
        let findings = LadderCheck.findings(facts)
        #expect(findings.map(\.severity) == [.error, .warning])
        #expect(findings[0].problem.contains("level-07"))
        #expect(findings[1].problem.hasPrefix("3 "))
    }

    @Test func `A level with another time to live is reported by the ladder's check, not the topology's`() {
        var facts = DoctorFacts.healthy()
        facts.differ(DelayLadder.name(ofLevel: 3), "x-message-ttl", planned: "8000", existing: "9000")
        #expect(LadderCheck.findings(facts).map(\.severity) == [.error])
        #expect(TopologyCheck.findings(facts) == [])
    }

    @Test(arguments: [
        (DelayLadder.deliveryExchange, "emails", "unrouted"), ("warren", "emails", "unroutable"),
        ("warren.dead", "emails.dead", "succeed"),
    ]
    )
    func `A missing binding is an error with its consequence`(
        source: String,
        destination: String,
        word: String
    ) throws {
        var facts = DoctorFacts.healthy()
        facts.management?.bindings?.removeAll { $0.source == source && $0.destination == destination }
        let findings = BindingCheck.findings(facts)
        #expect(findings.map(\.severity) == [.error])
        #expect(findings.first?.consequence.contains(word) == true)
    }

    @Test func `A missing queue's bindings are not reported`() {
        var facts = DoctorFacts.healthy()
        facts.remove("emails")
        facts.management?.bindings?.removeAll { $0.destination == "emails" }
        #expect(BindingCheck.findings(facts) == [])
    }

    @Test func `Jobs without a worker are a warning, an idle queue without one a note`() {
        var facts = DoctorFacts.healthy()
        facts.statuses[0].consumers = 0
        #expect(QueueCheck.findings(facts).map(\.severity) == [.note])
        facts.statuses[0].ready = 5
        #expect(QueueCheck.findings(facts).map(\.severity) == [.warning])
    }

    @Test func `Dead jobs are a note, and a warning while their number grows`() {
        var facts = DoctorFacts.healthy()
        facts.statuses[1].ready = 5
        #expect(QueueCheck.findings(facts).map(\.severity) == [.note])
        facts.management?.queues = [ManagedQueue(name: "emails.dead", messagesReadyDetails: .init(rate: 0.2))]
        #expect(QueueCheck.findings(facts).map(\.severity) == [.warning])
    }

    @Test func `Parked jobs are a warning if workers run without a handler for them, or if the queue is nearly full`() {
        var facts = DoctorFacts.healthy()
        facts.statuses[2].ready = 5
        #expect(QueueCheck.findings(facts).map(\.severity) == [.warning])
        facts.statuses[0].consumers = 0
        #expect(QueueCheck.findings(facts).map(\.severity) == [.note, .note])
        facts.statuses[2].ready = 80_000
        #expect(QueueCheck.findings(facts).map(\.severity) == [.note, .warning])
    }
}
