import AMQP
import ArgumentParser
import EmbeddedBroker
import EmbeddedStore
import Synchronization
import TestSupport

#if canImport(System)
import System
#else
import SystemPackage
#endif

/// Uses a durable broker from several tasks at once until it is killed, and writes a ``StoreEvent`` per line to
/// standard output.
struct StoringClient: AsyncParsableCommand {
    static let configuration = CommandConfiguration(commandName: "storing-client")

    @Option(help: "The broker's file.") var path: String
    @Option var seed: UInt64
    @Option(help: "The number before that of the first message.") var firstNumber: Int

    func run() async throws {
        try await StoreClient(path: path, seed: seed, firstNumber: firstNumber).run()
    }
}

/// Publishes, consumes and declares.
///
/// It reports after a confirmation or an answer what the broker must have kept, and before an acknowledgement or a
/// deletion what may be gone.
private final class StoreClient: Sendable {
    private let path: String
    private let random: Mutex<SeededGenerator>
    private let counter: Mutex<Int>

    init(path: String, seed: UInt64, firstNumber: Int) {
        self.path = path
        random = Mutex(SeededGenerator(seed: seed))
        counter = Mutex(firstNumber)
    }

    func run() async throws {
        report(.started)
        var settings = StoreSettings()
        // Small, so that a kill may also interrupt a checkpoint of the log.
        settings.checkpointPages = 50
        let broker = try await EmbeddedBroker.open(path: path, settings).broker
        report(.opened)
        try await declareAll(broker)
        report(.ready)
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

    /// Publishes one message after the other and reports the confirmed ones.
    private func publish(to broker: EmbeddedBroker) async throws {
        while true {
            let kinds: [StoredMessage.Kind] = [.expiring, .quorum, .quorum, .copied, .transient, .plain]
            let stored = StoredMessage(kinds[pick(0..<kinds.count)], nextNumber())
            let size = pick(0..<10) == 0 ? pick(0..<20_000) : pick(0..<600)
            var message = Message(body: Array(repeating: UInt8(truncatingIfNeeded: stored.number), count: size))
            message.properties.messageID = stored.id
            message.properties.deliveryMode = stored.kind == .transient ? .transient : .persistent
            message.properties.headers = ["number": .int64(Int64(stored.number)), "size": .int64(Int64(size))]
            try await broker.publish(message, to: Self.destination(of: stored.kind))
            report(.confirmed(stored))
        }
    }

    private static func destination(of kind: StoredMessage.Kind) -> Destination {
        switch kind {
        case .plain, .transient: .queue("plain")
        case .quorum: .queue("quorum")
        case .expiring: .queue("waiting")
        case .copied: Destination(exchange: "all", routingKey: "")
        }
    }

    /// Takes messages and settles them in each of the possible ways.
    private func consume(_ queue: String, of broker: EmbeddedBroker) async throws {
        let connection = broker.connect(name: queue)
        var kept: [Delivery] = []
        for try await delivery in try await connection.consume(queue: queue, prefetch: 20, arguments: FieldTable()) {
            let choice = pick(0..<10)
            if kept.count < 10, choice == 0 {
                kept.append(delivery)
            } else if choice < 3, !queue.hasPrefix("copy") {
                delivery.nack(requeue: true)
            } else if choice == 3, queue == "quorum" {
                delivery.reject(requeue: false)
            } else {
                if let stored = delivery.message.properties.messageID.flatMap(StoredMessage.init(id:)) {
                    report(.acknowledging(stored, queue: queue))
                }
                delivery.ack()
            }
            if kept.count == 10 {
                for delivery in kept { delivery.nack(requeue: true) }
                kept = []
            }
        }
    }

    /// Declares and binds queues, and deletes every other one.
    private func declareMore(at broker: EmbeddedBroker) async throws {
        while true {
            let number = nextNumber()
            let queue = "extra-\(number)"
            try await broker.declare(QueueDeclaration(queue))
            report(.declared(queue: queue))
            try await broker.bind(Binding(from: "amq.direct", to: .queue(queue), routingKey: "\(number)"))
            report(.bound(queue: queue))
            if pick(0..<2) == 0 {
                report(.deleting(queue: queue))
                try await broker.deleteQueue(queue)
                report(.deleted(queue: queue))
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

    private func report(_ event: StoreEvent) {
        // One call, unbuffered: a kill leaves all of the line or none.
        _ = try? FileDescriptor.standardOutput.writeAll("\(event.line)\n".utf8)
    }
}
