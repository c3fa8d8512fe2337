/// The result of a check: a problem, its consequence and its remedy.
struct Finding: Sendable, Hashable, Codable {
    /// The severity.
    var severity: Severity
    /// The check that found it.
    var check: CheckName
    /// The queue, exchange, job or node concerned; `nil` for the broker as a whole.
    var subject: String?
    /// The problem, as a sentence.
    var problem: String
    /// The consequence of doing nothing.
    var consequence: String
    /// The remedy.
    var remedy: String

    /// The severity of a finding.
    enum Severity: String, Sendable, Codable, CaseIterable {
        /// Jobs are lost, stuck or done wrongly, or will be.
        case error
        /// It works now, but may fail later.
        case warning
        /// Good to know.
        case note
    }

    /// The checks, in the order in which they are made.
    enum CheckName: String, Sendable, Codable, CaseIterable {
        case version
        case access
        case alarms
        case nodes
        case topology
        case ladder
        case bindings
        case policies
        case deliveryLimit = "delivery-limit"
        case consumerTimeout = "consumer-timeout"
        case shutdown
        case clock
        case queues
    }

    init(
        _ severity: Severity,
        _ check: CheckName,
        _ subject: String? = nil,
        problem: String,
        consequence: String,
        remedy: String
    ) {
        self.severity = severity
        self.check = check
        self.subject = subject
        self.problem = problem
        self.consequence = consequence
        self.remedy = remedy
    }
}

extension [String] {
    /// The names as part of a sentence: the first five, and the number of the others.
    var quotedList: String {
        let shown = prefix(5).map { "'\($0)'" }.joined(separator: ", ")
        return count > 5 ? "\(shown) and \(count - 5) more" : shown
    }
}
