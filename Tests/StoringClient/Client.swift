import AMQP
import EmbeddedBroker
import EmbeddedStore
import Synchronization
import TestSupport

#if canImport(System)
import System
#else
import SystemPackage
#endif

/// Publishes, consumes and declares from several tasks at once until it is killed, and writes what it knows, a line each: after a confirmation
/// or an answer what was kept, and before an acknowledgement or a deletion what may be gone.
final class Client: Sendable {
    private let path: String
    private let random: Mutex<SeededGenerator>
    private let counter: Mutex<Int>

    init(path: String, seed: UInt64, firstNumber: Int) {
        self.path = path
        random = Mutex(SeededGenerator(seed: seed))
        counter = Mutex(firstNumber)
    }

    func run() async throws {
        tell("started", "")
        var settings = StoreSettings()
        // Small, so that a kill meets the emptying of the log too.
        settings.checkpointPages = 50
        let broker = try await EmbeddedBroker.open(path: path, settings).broker
        tell("opened", "")
        try await declareAll(broker)
        tell("ready", "")
        try await withThrowingTaskGroup(of: Void.self) { group in
            for _ in 0..<6 { group.addTask { try await self.publish(to: broker) } }
            for queue in ["plain", "quorum", "copy-a", "copy-b"] {
                group.addTask { try await self.consume(queue, of: broker) }
            }
            group.addTask { try await self.declareMore(at: broker) }
            try await group.waitForAll()
        }
    }

    private func declareAll(_ broker: EmbeddedBroker) async throws {
        let waiting = QueueArguments(.classic) {
            $0.messageTTL = .milliseconds(5)
            $0.deadLetterExchange = ""
            $0.deadLetterRoutingKey = "plain"
        }
        let quorum = QueueArguments(.quorum) {
            $0.deliveryLimit = 3
            $0.deadLetterExchange = ""
            $0.deadLetterRoutingKey = "dead"
        }
        for queue in ["plain", "dead", "copy-a", "copy-b"] { try await broker.declare(QueueDeclaration(queue)) }
        try await broker.declare(QueueDeclaration("waiting", arguments: waiting))
        try await broker.declare(QueueDeclaration("quorum", arguments: quorum))
        try await broker.declare(ExchangeDeclaration("all", kind: .fanout))
        for queue in ["copy-a", "copy-b"] {
            try await broker.bind(Binding(from: "all", to: .queue(queue), routingKey: ""))
        }
    }

    /// Publishes one message after the other and tells of those that were confirmed.
    private func publish(to broker: EmbeddedBroker) async throws {
        while true {
            let number = nextNumber()
            let (letter, destination): (String, Destination) =
                switch pick(0..<6) {
                case 0: ("w", .queue("waiting"))
                case 1, 2: ("q", .queue("quorum"))
                case 3: ("f", Destination(exchange: "all", routingKey: ""))
                case 4: ("t", .queue("plain"))
                default: ("p", .queue("plain"))
                }
            let size = pick(0..<10) == 0 ? pick(0..<20_000) : pick(0..<600)
            var message = Message(body: Array(repeating: UInt8(truncatingIfNeeded: number), count: size))
            message.properties.messageID = "\(letter)\(number)"
            message.properties.deliveryMode = letter == "t" ? .transient : .persistent
            message.properties.headers = ["number": .int64(Int64(number)), "size": .int64(Int64(size))]
            try await broker.publish(message, to: destination)
            tell("confirmed", "\(letter)\(number)")
        }
    }

    /// Takes messages and deals with them in one way or another.
    private func consume(_ queue: String, of broker: EmbeddedBroker) async throws {
        let connection = broker.connect(name: queue)
        var kept: [Delivery] = []
        for try await delivery in try await connection.consume(queue: queue, prefetch: 20, arguments: FieldTable()) {
            let id = delivery.message.properties.messageID ?? "none"
            let choice = pick(0..<10)
            if kept.count < 10, choice == 0 {
                kept.append(delivery)
            } else if choice < 3, !queue.hasPrefix("copy") {
                delivery.nack(requeue: true)
            } else if choice == 3, queue == "quorum" {
                delivery.reject(requeue: false)
            } else {
                tell("acknowledging", "\(queue)/\(id)")
                delivery.ack()
            }
            if kept.count == 10 {
                for delivery in kept { delivery.nack(requeue: true) }
                kept = []
            }
        }
    }

    /// Declares queues and deletes the ones before.
    private func declareMore(at broker: EmbeddedBroker) async throws {
        while true {
            let number = nextNumber()
            try await broker.declare(QueueDeclaration("extra-\(number)"))
            tell("declared", "extra-\(number)")
            try await broker.bind(Binding(from: "amq.direct", to: .queue("extra-\(number)"), routingKey: "\(number)"))
            tell("bound", "extra-\(number)")
            if pick(0..<2) == 0 {
                tell("deleting", "extra-\(number)")
                try await broker.deleteQueue("extra-\(number)")
                tell("deleted", "extra-\(number)")
            }
            for _ in 0..<pick(0..<2_000) { await Task.yield() }
        }
    }

    private func nextNumber() -> Int {
        counter.withLock { counter in
            counter += 1
            return counter
        }
    }

    private func pick(_ range: Range<Int>) -> Int { random.withLock { Int.random(in: range, using: &$0) } }

    private func tell(_ what: String, _ thing: String) {
        // One call, unbuffered: a kill leaves all of the line or none.
        _ = try? FileDescriptor.standardOutput.writeAll("\(what) \(thing)\n".utf8)
    }
}
