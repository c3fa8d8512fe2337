import AMQP
import Warren

/// A model of RabbitMQ's routing: enough of it to send a message through a plan and see where and when it arrives.
struct TopicModel {
    /// The queue in which a message arrived, and the time it waited on the way.
    struct Arrival: Hashable {
        var queue: String
        var seconds: Int
        var waits: Int
    }

    private enum Word: Equatable {
        case exactly(Substring)
        case any
        case anyNumber

        init(_ word: Substring) {
            self = word == "*" ? .any : word == "#" ? .anyNumber : .exactly(word)
        }
    }

    private struct Way {
        var pattern: [Word]
        var target: Binding.Target
    }

    private var exchanges: [String: ExchangeDeclaration] = [:]
    private var queues: [String: QueueDeclaration] = [:]
    private var ways: [String: [Way]] = [:]

    init(_ plan: TopologyPlan) {
        for step in plan.steps {
            switch step {
            case .exchange(let exchange): exchanges[exchange.name] = exchange
            case .queue(let queue): queues[queue.name] = queue
            case .binding(let binding):
                ways[binding.source, default: []].append(
                    Way(pattern: Self.words(binding.routingKey).map(Word.init), target: binding.target)
                )
            }
        }
    }

    /// The arrivals of a message that is published to `destination`.
    func arrivals(of destination: Destination) -> Set<Arrival> {
        Set(restingPlaces(in: destination.exchange, key: destination.routingKey, seconds: 0, waits: 0))
    }

    private func restingPlaces(in exchange: String, key: String, seconds: Int, waits: Int) -> [Arrival] {
        queuesReached(from: exchange, words: Self.words(key)).flatMap { name -> [Arrival] in
            guard let queue = queues[name], let ttl = queue.arguments.messageTTL,
                let next = queue.arguments.deadLetterExchange
            else { return [Arrival(queue: name, seconds: seconds, waits: waits)] }
            let waited = seconds + Int(ttl.components.seconds)
            let nextKey = queue.arguments.deadLetterRoutingKey ?? key
            return restingPlaces(in: next, key: nextKey, seconds: waited, waits: waits + 1)
        }
    }

    private func queuesReached(from exchange: String, words: [Substring]) -> Set<String> {
        var reached: Set<String> = []
        let kind = exchanges[exchange]?.kind
        for way in ways[exchange] ?? [] where Self.matches(way.pattern, words, kind) {
            switch way.target {
            case .queue(let name): reached.insert(name)
            case .exchange(let name): reached.formUnion(queuesReached(from: name, words: words))
            }
        }
        if reached.isEmpty, let alternate = exchanges[exchange]?.alternateExchange {
            reached = queuesReached(from: alternate, words: words)
        }
        return reached
    }

    private static func matches(_ pattern: [Word], _ key: [Substring], _ kind: ExchangeKind?) -> Bool {
        switch kind {
        case .fanout?: true
        case .direct?: pattern == key.map(Word.exactly)
        case .topic?: topic(pattern, from: 0, matches: key, from: 0)
        default: false
        }
    }

    private static func words(_ key: String) -> [Substring] {
        key.split(separator: ".", omittingEmptySubsequences: false)
    }

    private static func topic(_ pattern: [Word], from first: Int, matches key: [Substring], from place: Int) -> Bool {
        var place = place
        for index in first..<pattern.count {
            switch pattern[index] {
            case .anyNumber:
                if index == pattern.count - 1 { return true }
                return (place...key.count).contains { topic(pattern, from: index + 1, matches: key, from: $0) }
            case .any: guard place < key.count else { return false }
            case .exactly(let word): guard place < key.count, word == key[place] else { return false }
            }
            place += 1
        }
        return place == key.count
    }
}
