import AMQP
import Foundation

/// The facts from RabbitMQ's management API.
///
/// A part that the user may not read is `nil`, with the reason in ``unreadable``.
struct ManagementFacts: Sendable {
    var nodes: [ManagedNode]?
    var queues: [ManagedQueue]?
    var bindings: [ManagedBinding]?
    var policies: [ManagedPolicy]?
    var operatorPolicies: [ManagedPolicy]?
    /// The difference between the broker's clock and this machine's.
    var skew: ClockSkew?
    /// The reason why nothing could be read; `nil` if something could.
    var failure: String?
    /// The parts that could not be read, each with the reason.
    var unreadable: [String] = []

    /// The policies that apply to a queue: at most one policy, followed by at most one operator policy.
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

    /// The change of a number over time.
    struct Rate: Sendable, Hashable, Decodable {
        /// The change per second.
        var rate: Double
    }
}

/// A binding, as `/api/bindings` shows it.
struct ManagedBinding: Sendable, Hashable, Decodable {
    var source: String
    var destination: String
    var destinationType: String
    var routingKey: String

    /// The binding without its arguments.
    var binding: Binding {
        let target: Binding.Target = destinationType == "queue" ? .queue(destination) : .exchange(destination)
        return Binding(from: source, to: target, routingKey: routingKey)
    }
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

    /// Returns whether it applies to a queue of this kind and name.
    ///
    /// The broker's patterns are Perl's and these are ICU's; the parts that policies use are the same. An invalid
    /// pattern matches every name, so that it is reported rather than missed.
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

/// The possible difference between the broker's clock and this machine's; positive if the broker's is ahead.
struct ClockSkew: Sendable, Hashable {
    /// The bounds of the difference, in seconds.
    var range: ClosedRange<Double>

    /// Creates a skew within bounds.
    init(_ range: ClosedRange<Double>) { self.range = range }

    /// Derives the skew from an HTTP response's `Date` header.
    ///
    /// The header has whole seconds, and the server may keep it for one: when it was sent, the broker's clock showed
    /// `date` or up to two seconds more.
    ///
    /// - Parameter date: The header, in seconds since 1970.
    /// - Parameter sent: The time of the request, by this machine's clock.
    /// - Parameter received: The time of the response, by the same clock.
    init(date: Double, sent: Double, received: Double) {
        range = (date - max(sent, received))...(date + 2 - min(sent, received))
    }

    /// The least absolute difference, in seconds; 0 if the clocks may agree.
    var minimum: Double { range.contains(0) ? 0 : min(abs(range.lowerBound), abs(range.upperBound)) }

    /// True if the broker's clock is ahead.
    var isAhead: Bool { range.lowerBound > 0 }
}
