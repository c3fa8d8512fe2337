import AMQP
import Warren

/// A model of how RabbitMQ routes: enough of it to send a message down a plan and see where and when it comes out.
struct TopicModel {
    /// Where a message came to rest, and how long it had waited on the way.
    struct Arrival: Hashable {
        var queue: String
        var seconds: Int
        var waits: Int
    }

    private var exchanges: [String: ExchangeDeclaration] = [:]
    private var queues: [String: QueueDeclaration] = [:]
    private var bindings: [String: [Binding]] = [:]

    init(_ plan: TopologyPlan) {
        for step in plan.steps {
            switch step {
            case .exchange(let exchange): exchanges[exchange.name] = exchange
            case .queue(let queue): queues[queue.name] = queue
            case .binding(let binding): bindings[binding.source, default: []].append(binding)
            }
        }
    }

    /// All places at which a message published to `destination` ends.
    func arrivals(of destination: Destination) -> Set<Arrival> {
        Set(restingPlaces(in: destination.exchange, key: destination.routingKey, seconds: 0, waits: 0))
    }

    private func restingPlaces(in exchange: String, key: String, seconds: Int, waits: Int) -> [Arrival] {
        queuesReached(from: exchange, key: key).flatMap { name -> [Arrival] in
            guard let queue = queues[name], let ttl = queue.arguments.messageTTL,
                let next = queue.arguments.deadLetterExchange
            else { return [Arrival(queue: name, seconds: seconds, waits: waits)] }
            let waited = seconds + Int(ttl.components.seconds)
            let nextKey = queue.arguments.deadLetterRoutingKey ?? key
            return restingPlaces(in: next, key: nextKey, seconds: waited, waits: waits + 1)
        }
    }

    private func queuesReached(from exchange: String, key: String) -> Set<String> {
        var reached: Set<String> = []
        for binding in bindings[exchange] ?? [] where matches(binding, key) {
            switch binding.target {
            case .queue(let name): reached.insert(name)
            case .exchange(let name): reached.formUnion(queuesReached(from: name, key: key))
            }
        }
        if reached.isEmpty, let alternate = exchanges[exchange]?.alternateExchange {
            reached = queuesReached(from: alternate, key: key)
        }
        return reached
    }

    private func matches(_ binding: Binding, _ key: String) -> Bool {
        switch exchanges[binding.source]?.kind {
        case .fanout?: true
        case .direct?: binding.routingKey == key
        case .topic?: Self.topic(words(binding.routingKey), matches: words(key))
        default: false
        }
    }

    private func words(_ key: String) -> ArraySlice<Substring> {
        key.split(separator: ".", omittingEmptySubsequences: false)[...]
    }

    static func topic(_ pattern: ArraySlice<Substring>, matches key: ArraySlice<Substring>) -> Bool {
        guard let word = pattern.first else { return key.isEmpty }
        switch word {
        case "#":
            return topic(pattern.dropFirst(), matches: key)
                || (!key.isEmpty && topic(pattern, matches: key.dropFirst()))
        case "*":
            return !key.isEmpty && topic(pattern.dropFirst(), matches: key.dropFirst())
        default:
            return key.first == word && topic(pattern.dropFirst(), matches: key.dropFirst())
        }
    }
}
