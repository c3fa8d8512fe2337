import AMQP
import EmbeddedBroker
import TestSupport

/// The state that a durable broker must still have, derived from the events that its process wrote before it was
/// killed.
struct KeptModel {
    /// The messages, each with the queues of which one must hold it; a message for two queues occurs twice.
    private var messages: Set<Copy> = []
    /// Messages that may or may not exist: they were being published or acknowledged.
    private var open: Set<Copy> = []
    private var queues: Set<String> = []
    private var openQueues: Set<String> = []
    private var bound: Set<String> = []

    /// A message in one of its places.
    private struct Copy: Hashable {
        var id: String
        var place: Place
    }

    /// The queues between which a message moves.
    private enum Place: Hashable {
        case work
        case copy(String)

        init(_ queue: String) { self = queue.hasPrefix("copy-") ? .copy(queue) : .work }
    }

    /// The differences between the broker and the model.
    struct Verdict {
        var lost: [String] = []
        var doubled: [String] = []
        var transient: [String] = []
    }

    /// Takes the events that a process wrote.
    mutating func add(_ events: [StoreEvent]) {
        for event in events {
            switch event {
            case .started, .opened, .ready: break
            case .confirmed(let message):
                switch message.kind {
                case .transient: break
                case .copied:
                    for queue in ["copy-a", "copy-b"] { messages.insert(Copy(id: message.id, place: .copy(queue))) }
                case .plain, .quorum, .expiring: messages.insert(Copy(id: message.id, place: .work))
                }
            case .acknowledging(let message, let queue): open.insert(Copy(id: message.id, place: Place(queue)))
            case .declared(let queue): queues.insert(queue)
            case .bound(let queue): bound.insert(queue)
            case .deleting(let queue): openQueues.insert(queue)
            case .deleted(let queue): queues.remove(queue)
            }
        }
    }

    /// Compares the model with a broker, whose state the model then adopts.
    mutating func judge(_ broker: EmbeddedBroker) async throws -> Verdict {
        var verdict = Verdict()
        var found: Set<Copy> = []
        for queue in broker.queueNames {
            for message in broker.readyMessages(in: queue) {
                let copy = Copy(id: message.id, place: Place(queue))
                if StoredMessage(id: message.id)?.kind == .transient { verdict.transient.append(message.id) }
                if !found.insert(copy).inserted { verdict.doubled.append("\(message.id) in \(queue)") }
            }
        }
        verdict.lost = messages.subtracting(open).subtracting(found).map { "\($0.id) in \($0.place)" }
        let present = Set(broker.queueNames)
        verdict.lost += queues.subtracting(openQueues).subtracting(present)
        for name in bound.subtracting(openQueues).intersection(present) {
            do {
                try await broker.publish(
                    Message(id: "binding-probe"),
                    to: Destination(exchange: "amq.direct", routingKey: String(name.dropFirst("extra-".count)))
                )
                try await broker.purgeQueue(name)
            } catch { verdict.lost.append("the binding of \(name): \(error)") }
        }
        // Deleted so that their number is bounded.
        for name in present where name.hasPrefix("extra-") { try await broker.deleteQueue(name) }
        messages = found
        open = []
        queues = present.filter { !$0.hasPrefix("extra-") }
        openQueues = []
        bound = []
        return verdict
    }

    /// The number of messages that must exist.
    var count: Int { messages.count }

    /// Notes that everything was purged.
    mutating func forgetMessages() { messages = [] }
}
