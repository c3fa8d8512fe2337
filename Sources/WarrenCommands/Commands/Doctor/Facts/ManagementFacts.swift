import Foundation

/// What RabbitMQ's management API told; a part that the user may not read is `nil`, and ``unreadable`` says why.
struct ManagementFacts: Sendable {
    var nodes: [ManagedNode]?
    var queues: [ManagedQueue]?
    var bindings: [ManagedBinding]?
    var policies: [ManagedPolicy]?
    var operatorPolicies: [ManagedPolicy]?
    /// How far the broker's clock is from this machine's.
    var skew: ClockSkew?
    /// Why nothing at all could be read; `nil` if something could.
    var failure: String?
    /// What could not be read, and why.
    var unreadable: [String] = []

    /// The policies that apply to a queue, the operator's second: of each kind, one at most.
    func policies(on queue: String, kind: String) -> [ManagedPolicy] {
        [policies, operatorPolicies].compactMap { candidates in
            candidates?.filter { $0.applies(to: queue, kind: kind) }.max { $0.priority < $1.priority }
        }
    }
}

/// A node, as `/api/nodes` shows it.
struct ManagedNode: Sendable, Hashable, Decodable {
    var name: String
    var running: Bool
    var memAlarm: Bool?
    var diskFreeAlarm: Bool?
    var partitions: [String]?
}

/// A queue, as `/api/queues` shows it.
struct ManagedQueue: Sendable, Hashable, Decodable {
    var name: String
    var type: String?
    var members: [String]?
    var online: [String]?
    var messagesReady: Int?
    var messagesReadyDetails: Rate?

    /// How a number changes.
    struct Rate: Sendable, Hashable, Decodable {
        /// By how much a second.
        var rate: Double
    }
}

/// A binding, as `/api/bindings` shows it.
struct ManagedBinding: Sendable, Hashable, Decodable {
    var source: String
    var destination: String
    var destinationType: String
    var routingKey: String
}

/// A policy, as `/api/policies` and `/api/operator-policies` show it.
struct ManagedPolicy: Sendable, Hashable, Decodable {
    var name: String
    var pattern: String
    var applyTo: String
    var priority: Int
    var definition: [String: PolicyValue]

    enum CodingKeys: String, CodingKey {
        case name, pattern, priority, definition
        // Not in snake case, as the rest of the API is.
        case applyTo = "apply-to"
    }

    /// Whether it is for queues of this kind and the name matches its pattern.
    ///
    /// The broker's patterns are Perl's, these are ICU's: what policies use of them is alike. A pattern that can't be
    /// read matches all, so that it is shown rather than passed over.
    func applies(to queue: String, kind: String) -> Bool {
        guard ["all", "queues", kind + "_queues"].contains(applyTo) else { return false }
        guard let expression = try? NSRegularExpression(pattern: pattern) else { return true }
        return expression.firstMatch(in: queue, range: NSRange(queue.startIndex..., in: queue)) != nil
    }
}

/// A value in a policy's definition.
enum PolicyValue: Sendable, Hashable, Decodable, CustomStringConvertible {
    case number(Int)
    case text(String)
    case other

    init(from decoder: any Decoder) throws {
        let container = try decoder.singleValueContainer()
        if let number = try? container.decode(Int.self) {
            self = .number(number)
        } else if let text = try? container.decode(String.self) {
            self = .text(text)
        } else {
            self = .other
        }
    }

    var number: Int? { if case .number(let number) = self { number } else { nil } }

    var description: String {
        switch self {
        case .number(let number): "\(number)"
        case .text(let text): "'\(text)'"
        case .other: "something"
        }
    }
}

/// By how much the broker's clock may differ from this machine's: ahead of it where positive.
struct ClockSkew: Sendable, Hashable {
    /// The least and the most that it can be, in seconds.
    var range: ClosedRange<Double>

    /// A skew within these bounds.
    init(_ range: ClosedRange<Double>) { self.range = range }

    /// What an HTTP response's `Date` tells.
    ///
    /// The header has whole seconds, and the server may keep it for one: when it was sent, the broker's clock showed
    /// `date` or up to two seconds more.
    ///
    /// - Parameter date: The header, in seconds since 1970.
    /// - Parameter sent: When the request went out, by the clock here.
    /// - Parameter received: When the response was there.
    init(date: Double, sent: Double, received: Double) {
        range = (date - max(sent, received))...(date + 2 - min(sent, received))
    }

    /// What it is at least, whichever way; 0 if the clocks may agree.
    var minimum: Double { range.contains(0) ? 0 : min(abs(range.lowerBound), abs(range.upperBound)) }

    /// Whether the broker's clock is ahead.
    var isAhead: Bool { range.lowerBound > 0 }
}
