import AMQP
import EmbeddedBroker

/// What a durable broker must still have, by what its process wrote before it was killed.
struct KeptModel {
    /// Messages by their ids, with the queues of which each must be in one; a message for two queues is here twice.
    private var messages: Set<Copy> = []
    /// Messages that may be there or not: they were being published, or acknowledged.
    private var open: Set<Copy> = []
    private var queues: Set<String> = []
    private var openQueues: Set<String> = []
    private var bound: Set<String> = []

    /// A message in one of its places.
    private struct Copy: Hashable {
        var id: Substring
        var place: Place
    }

    /// Queues between which a message moves.
    private enum Place: Hashable {
        case work
        case copy(Substring)

        init(_ queue: some StringProtocol) { self = queue.hasPrefix("copy-") ? .copy(Substring(queue)) : .work }
    }

    /// What is wrong with what is there.
    struct Verdict {
        var lost: [String] = []
        var doubled: [String] = []
        var transient: [String] = []
    }

    /// Takes what a process wrote.
    mutating func add(_ lines: [String]) {
        for line in lines {
            let words = line.split(separator: " ")
            guard words.count == 2 else { continue }
            let thing = words[1]
            switch words[0] {
            case "confirmed" where thing.hasPrefix("t"): break
            case "confirmed" where thing.hasPrefix("f"):
                for queue in ["copy-a", "copy-b"] { messages.insert(Copy(id: thing, place: .copy(queue[...]))) }
            case "confirmed": messages.insert(Copy(id: thing, place: .work))
            case "acknowledging":
                let parts = thing.split(separator: "/")
                open.insert(Copy(id: parts[1], place: Place(parts[0])))
            case "declared": queues.insert(String(thing))
            case "bound": bound.insert(String(thing))
            case "deleting": openQueues.insert(String(thing))
            case "deleted": queues.remove(String(thing))
            default: break
            }
        }
    }

    /// Compares with what a broker has, and takes that for what there must be from now on.
    mutating func judge(_ broker: EmbeddedBroker) async throws -> Verdict {
        var verdict = Verdict()
        var found: Set<Copy> = []
        for queue in broker.queueNames {
            for message in broker.readyMessages(in: queue) {
                let copy = Copy(id: message.id[...], place: Place(queue))
                if message.id.hasPrefix("t") { verdict.transient.append(message.id) }
                if !found.insert(copy).inserted { verdict.doubled.append("\(message.id) in \(queue)") }
            }
        }
        verdict.lost = messages.subtracting(open).subtracting(found).map { "\($0.id) in \($0.place)" }
        let present = Set(broker.queueNames)
        verdict.lost += queues.subtracting(openQueues).subtracting(present)
        for name in bound.subtracting(openQueues).intersection(present) {
            do {
                try await broker.publish(
                    Message(id: "t-probe"),
                    to: Destination(exchange: "amq.direct", routingKey: String(name.dropFirst("extra-".count)))
                )
                try await broker.purgeQueue(name)
            } catch { verdict.lost.append("the binding of \(name): \(error)") }
        }
        // Those deleted are looked at no more, so that their number is bounded.
        for name in present where name.hasPrefix("extra-") { try await broker.deleteQueue(name) }
        messages = found
        open = []
        queues = present.filter { !$0.hasPrefix("extra-") }
        openQueues = []
        bound = []
        return verdict
    }

    /// How many messages there must be.
    var count: Int { messages.count }

    /// Everything was purged.
    mutating func forgetMessages() { messages = [] }
}
