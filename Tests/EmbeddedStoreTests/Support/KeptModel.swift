import AMQP
import EmbeddedBroker
import TestSupport

/// The expected content of a durable broker, by the events that its process wrote before it was killed.
struct KeptModel {
    /// The messages that must be there, each in one of its place's queues; a message for two queues is here twice.
    private var messages: Set<Copy> = []
    /// Messages that may be there or not, because they were being acknowledged.
    private var open: Set<Copy> = []
    private var queues: Set<String> = []
    private var openQueues: Set<String> = []
    private var bound: Set<String> = []

    /// A message in one of its places.
    private struct Copy: Hashable {
        var id: String
        var place: Place
    }

    /// Queues between which a message moves.
    private enum Place: Hashable {
        case work
        case copy(String)

        init(_ queue: String) { self = queue.hasPrefix("copy-") ? .copy(queue) : .work }
    }

    /// The differences between the expected content and the broker's.
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

    /// Compares with a broker's content, which becomes the expected content.
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
        // Deletes them, so that their number stays bounded.
        for name in present where name.hasPrefix("extra-") { try await broker.deleteQueue(name) }
        messages = found
        open = []
        queues = present.filter { !$0.hasPrefix("extra-") }
        openQueues = []
        bound = []
        return verdict
    }

    /// The number of messages that must be there.
    var count: Int { messages.count }

    /// Expects no messages, after a purge.
    mutating func forgetMessages() { messages = [] }
}
