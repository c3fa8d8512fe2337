import AMQP
import ArgumentParser

/// The findings of all checks on a set of facts.
struct Diagnosis: Sendable {
    /// The findings, worst first; those of one severity in the order of the checks.
    let findings: [Finding]

    init(_ facts: DoctorFacts) {
        let found = Self.checks.flatMap { $0(facts) }
        findings = Finding.Severity.allCases.flatMap { severity in found.filter { $0.severity == severity } }
    }

    /// Every check: a function of the facts.
    private static let checks: [@Sendable (DoctorFacts) -> [Finding]] = [
        VersionCheck.findings, AccessCheck.findings, AlarmCheck.findings, NodeCheck.findings, TopologyCheck.findings,
        LadderCheck.findings, BindingCheck.findings, PolicyCheck.findings, DeliveryLimitCheck.findings,
        ConsumerTimeoutCheck.findings, ShutdownCheck.findings, ClockCheck.findings, QueueCheck.findings,
    ]

    func count(_ severity: Finding.Severity) -> Int { findings.count { $0.severity == severity } }

    /// 0 if there are notes at most, 1 for warnings, 2 for errors.
    var exitCode: ExitCode {
        if count(.error) > 0 { return ExitCode(2) }
        return count(.warning) > 0 ? ExitCode(1) : .success
    }

    /// The exit code if the broker could not be examined.
    static let inspectionFailed = ExitCode(3)
}

extension Diagnosis {
    /// The report as text: a headline, then each finding.
    func text(broker: BrokerIdentity, queues: [String]) -> String {
        let counts = Finding.Severity.allCases.map { "\(count($0)) \($0.rawValue)s" }.joined(separator: ", ")
        let head = "\(broker.product) \(broker.version), queues \(queues.joined(separator: ", ")): \(counts)"
        return ([head] + findings.map(\.text)).joined(separator: "\n\n")
    }
}

extension Finding {
    fileprivate var text: String {
        [
            "\(severity.rawValue.uppercased())  \(check.rawValue): \(TextTable.printable(problem))",
            "  What will happen: \(TextTable.printable(consequence))",
            "  What to do: \(TextTable.printable(remedy))",
        ].joined(separator: "\n")
    }
}
