import AMQP
import ArgumentParser
import Testing
import Warren

@testable import WarrenCommands

struct LimitCheckTests {
    @Test func `A policy that makes jobs expire is one error for all its queues`() {
        var facts = DoctorFacts.healthy(lanes: [.high, .low])
        facts.apply(["message-ttl": .number(60_000)], pattern: "^emails(\\.high|\\.low)?$")
        let findings = PolicyCheck.findings(facts)
        #expect(findings.map(\.severity) == [.error])
        #expect(findings.first?.subject == "p0")
        #expect(findings.first?.problem.contains("'emails.high', 'emails', 'emails.low'") == true)
    }

    @Test func `A policy for every queue is reported separately for jobs, dead, parked and ladder queues`() {
        var facts = DoctorFacts.healthy()
        facts.apply(["message-ttl": .number(1)], pattern: ".*", to: "all")
        #expect(PolicyCheck.findings(facts).count == 4)
    }

    @Test func `An argument overrides a policy's text, and a greater number`() {
        var facts = DoctorFacts.healthy()
        facts.apply(
            ["overflow": .text("drop-head"), "dead-letter-exchange": .text("x"), "max-length": .number(1_000_000)],
            pattern: "parked$"
        )
        #expect(PolicyCheck.findings(facts) == [])
    }

    @Test func `The policy of the highest priority applies, beside the operator's`() {
        var facts = DoctorFacts.healthy()
        facts.apply(["expires": .number(1)], pattern: "^emails$", priority: 1)
        facts.apply([:], pattern: "^emails$", priority: 2)
        #expect(PolicyCheck.findings(facts) == [])
        let first = facts.management?.policies?.first
        facts.management?.operatorPolicies = first.map { [$0] }
        #expect(PolicyCheck.findings(facts).map(\.severity) == [.error])
    }

    @Test func `A policy for another kind of queue is ignored`() {
        var facts = DoctorFacts.healthy()
        facts.apply(["expires": .number(1)], pattern: ".*", to: "classic_queues")
        facts.apply(["expires": .number(1)], pattern: ".*", to: "exchanges")
        #expect(PolicyCheck.findings(facts) == [])
        facts.apply(["expires": .number(1)], pattern: "^emails$", priority: 1, to: "quorum_queues")
        #expect(PolicyCheck.findings(facts).count == 1)
    }

    @Test func `A queue declared by somebody else has the default limit of 4.0, which is a warning`() throws {
        var facts = DoctorFacts.healthy(BrokerVersion(4, 0))
        facts.differ("emails", "x-delivery-limit", planned: "100", existing: nil)
        let finding = try #require(DeliveryLimitCheck.findings(facts).first)
        #expect(finding.severity == .warning)
        #expect(finding.problem.contains("after 20 redeliveries") && finding.problem.contains("default"))
        #expect(TopologyCheck.findings(facts) == [])
    }

    @Test func `On 3.10 a queue without the argument has no limit, and that is a warning too`() {
        var facts = DoctorFacts.healthy(BrokerVersion(3, 10))
        facts.differ("emails", "x-delivery-limit", planned: "100", existing: nil)
        #expect(DeliveryLimitCheck.findings(facts).map(\.severity) == [.warning])
        facts.apply(["delivery-limit": .number(100)], pattern: "emails")
        #expect(DeliveryLimitCheck.findings(facts) == [])
    }

    @Test func `A limit not above the attempts of a job is an error, whether by argument or by policy`() {
        var facts = DoctorFacts.healthy()
        facts.differ("emails", "x-delivery-limit", planned: "100", existing: "8")
        #expect(DeliveryLimitCheck.findings(facts).map(\.severity) == [.error])
        facts.inspection.differences = []
        facts.apply(["delivery-limit": .number(3)], pattern: "emails")
        #expect(DeliveryLimitCheck.findings(facts).map(\.severity) == [.error])
    }

    @Test func `A limit below the workers' limit for crashes warns that evidence is lost`() throws {
        var facts = DoctorFacts.healthy()
        facts.jobs[0].attempts = 1
        facts.apply(["delivery-limit": .number(4)], pattern: "emails")
        #expect(try #require(DeliveryLimitCheck.findings(facts).first).consequence.contains("evidence"))
        facts.apply(["delivery-limit": .number(5)], pattern: "emails", priority: 1)
        #expect(try #require(DeliveryLimitCheck.findings(facts).first).consequence.contains("evidence") == false)
    }

    @Test func `A job's time limit is checked, the hard one first`() {
        struct Limited: Job {
            static let name = "limited"
            static let queue: QueueName = "emails"
            static let timeLimits = TimeLimits(soft: .seconds(5), hard: .seconds(9))
        }
        #expect(JobLimits(of: Limited.self).timeLimit == .seconds(9))
    }

    @Test func `A policy with more attempts than the planned limit allows is a warning with the limit it needs`()
        throws
    {
        var facts = DoctorFacts.healthy()
        facts.jobs[0].attempts = 60
        let finding = try #require(DeliveryLimitCheck.findings(facts).first)
        #expect(finding.severity == .warning && finding.remedy.contains("deliveryLimit of 120"))
    }

    @Test(arguments: [
        (BrokerVersion(4, 0), "406"), (BrokerVersion(4, 3), "cancels"),
    ]
    )
    func `A job that may run longer than the consumer timeout is an error with the consequence on this version`(
        version: BrokerVersion,
        word: String
    ) throws {
        var facts = DoctorFacts.healthy(version)
        facts.jobs[0].timeLimit = .seconds(1_800)
        let finding = try #require(ConsumerTimeoutCheck.findings(facts).first)
        #expect(finding.severity == .error && finding.subject == "emails.send" && finding.consequence.contains(word))
        facts.assumptions.consumerTimeout = .seconds(7_200)
        #expect(ConsumerTimeoutCheck.findings(facts) == [])
    }

    @Test func `A job without a time limit is a note, unless the broker has no consumer timeout`() {
        var facts = DoctorFacts.healthy()
        facts.jobs[0].timeLimit = nil
        #expect(ConsumerTimeoutCheck.findings(facts).map(\.severity) == [.note])
        facts.assumptions.consumerTimeout = .zero
        #expect(ConsumerTimeoutCheck.findings(facts) == [])
    }

    @Test func `A policy's consumer timeout applies since 3.12`() {
        for (version, count) in [(BrokerVersion(3, 10), 0), (BrokerVersion(4, 0), 1)] {
            var facts = DoctorFacts.healthy(version)
            facts.jobs[0].timeLimit = .seconds(90)
            facts.apply(["consumer-timeout": .number(60_000)], pattern: "emails")
            #expect(ConsumerTimeoutCheck.findings(facts).count == count)
        }
    }

    @Test func `A shutdown timeout beyond the consumer timeout is a warning, one below a job's limit a note`() {
        var facts = DoctorFacts.healthy()
        facts.assumptions.shutdownTimeout = .seconds(10)
        #expect(ShutdownCheck.findings(facts).map(\.severity) == [.note])
        facts.assumptions.shutdownTimeout = .seconds(3_600)
        #expect(ShutdownCheck.findings(facts) == [])
        #expect(ConsumerTimeoutCheck.findings(facts).map(\.severity) == [.warning])
    }

    @Test func `The worst findings come first, and the worst decides the exit code`() {
        var facts = DoctorFacts.healthy()
        facts.jobs[0].timeLimit = nil
        #expect(Diagnosis(facts).exitCode.rawValue == 0)
        facts.statuses[0] = DoctorFacts.status("normal", "emails", ready: 1)
        #expect(Diagnosis(facts).exitCode.rawValue == 1)
        facts.publishing = .blocked(reason: "low on disk")
        #expect(Diagnosis(facts).exitCode.rawValue == 2)
        #expect(Diagnosis(facts).findings.map(\.severity) == [.error, .warning, .note])
    }
}
