/// Something that a check found: what is wrong, what will happen, what to do.
struct Finding: Sendable, Hashable, Codable {
    /// How bad it is.
    var severity: Severity
    /// The check that found it.
    var check: CheckName
    /// The queue, exchange, job or node it is about; `nil` if it is about the broker as a whole.
    var subject: String?
    /// What is wrong.
    var problem: String
    /// What will happen if nobody does anything.
    var consequence: String
    /// What to do.
    var remedy: String

    /// How bad a finding is.
    enum Severity: String, Sendable, Codable, CaseIterable {
        /// Jobs are lost, stuck or done wrongly, or will be.
        case error
        /// It works, and will not always.
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
    /// Names for a sentence: up to five in full, of more than five the first five and the number of the others.
    var quotedList: String {
        let shown = prefix(5).map { "'\($0)'" }.joined(separator: ", ")
        return count > 5 ? "\(shown) and \(count - 5) more" : shown
    }
}
