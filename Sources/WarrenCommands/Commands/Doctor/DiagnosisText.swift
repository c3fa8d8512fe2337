import AMQP

/// What `doctor` prints for people.
enum DiagnosisText {
    static func text(_ diagnosis: Diagnosis, of broker: BrokerIdentity, queues: [String]) -> String {
        let counts = Finding.Severity.allCases.map { "\(diagnosis.count($0)) \($0.rawValue)s" }.joined(separator: ", ")
        let head = "\(broker.product) \(broker.version), queues \(queues.joined(separator: ", ")): \(counts)"
        return ([head] + diagnosis.findings.map(text)).joined(separator: "\n\n")
    }

    private static func text(_ finding: Finding) -> String {
        [
            "\(finding.severity.rawValue.uppercased())  \(finding.check.rawValue): \(TextTable.printable(finding.problem))",
            "  What will happen: \(TextTable.printable(finding.consequence))",
            "  What to do: \(TextTable.printable(finding.remedy))",
        ].joined(separator: "\n")
    }
}
