import AMQP
import Synchronization

/// Plays a sequence's operations on one broker, and says what can be seen of it afterwards.
final class SequencePlayer {
    /// What came on a consumer's stream.
    private final class Log: Sendable {
        struct State {
            var deliveries: [Delivery] = []
            var end: String?
        }

        let state = Mutex(State())

        func read(_ stream: DeliveryStream) async {
            do throws(AMQPError) {
                for try await delivery in stream { state.withLock { $0.deliveries.append(delivery) } }
                state.withLock { $0.end = "ended" }
            } catch {
                state.withLock { $0.end = "ended: \(error.code)" }
            }
        }
    }

    private struct Reader {
        var queue: Int
        var stream: DeliveryStream
        var log = Log()
        /// How many of the log's deliveries were taken over to the unsettled.
        var taken = 0
        var unsettled: [Delivery] = []
        var isOver = false
    }

    private let connect: () -> any Transport
    private let declaring: any Transport
    private var consuming: any Transport
    private let prefix: String
    private var readers: [Int: Reader] = [:]
    private var got: [Delivery] = []
    private var published = 0
    /// The type that a queue had first.
    private var isQuorum: [Int: Bool] = [:]
    /// The queues that have had a delivery limit.
    private var limited: Set<Int> = []

    /// - Parameter prefix: What the names of this sequence's queues and exchanges begin with.
    init(prefix: String, connect: @escaping () -> any Transport) {
        self.prefix = prefix
        self.connect = connect
        declaring = connect()
        consuming = connect()
    }

    private func queue(_ number: Int) -> String { "\(prefix)q\(number)" }
    private func exchange(_ number: Int) -> String { "\(prefix)e\(number)" }

    /// Declares the queue that is there from the start.
    func begin() async {
        _ = try? await declaring.declare(
            QueueDeclaration(queue(Operation.lastQueue), arguments: QueueArguments(.classic))
        )
    }

    /// Does an operation; says what came of it.
    func play(_ operation: Operation, _ group: inout DiscardingTaskGroup) async -> String {
        do throws(AMQPError) {
            return try await perform(operation, &group)
        } catch {
            return "\(error.code) \(error.reply?.code ?? 0)"
        }
    }

    private func perform(_ operation: Operation, _ group: inout DiscardingTaskGroup) async throws(AMQPError) -> String {
        switch operation {
        // A channel of 3.10.8 that held a message of a classic queue fails (541) on a quorum queue of its name.
        case .declareQueue(let number, let profile)
        where isQuorum[number, default: profile.isQuorum] != profile.isQuorum:
            return "not done"
        case .declareQueue(let number, let profile):
            isQuorum[number] = profile.isQuorum
            if profile == .quorumLimited { limited.insert(number) }
            let declaration = profile.declaration(
                queue(number),
                refusedTo: queue((number + 1) % Operation.queues),
                surplusTo: queue(Operation.lastQueue)
            )
            let status = try await declaring.declare(declaration)
            return "\(status.messageCount) ready"
        case .declareExchange(let number, let kind):
            try await declaring.declare(ExchangeDeclaration(exchange(number), kind: kind))
        case .bind(let source, let target, let key):
            try await declaring.bind(Binding(from: exchange(source), to: .queue(queue(target)), routingKey: key))
        case .bindExchange(let target, let source, let key):
            let binding = Binding(from: exchange(source), to: .exchange(exchange(target)), routingKey: key)
            try await declaring.bind(binding)
        case .unbind(let source, let target, let key):
            try await declaring.unbind(Binding(from: exchange(source), to: .queue(queue(target)), routingKey: key))
        case .publish(let target, let key, let priority, let mandatory):
            try await publish(to: target, key, priority, mandatory)
        case .get(let number):
            guard let delivery = try await get(number) else { return "nothing" }
            got.append(delivery)
            return shown(delivery)
        case .consume(let number, let target, let prefetch):
            return try await consume(number, target, prefetch, &group)
        case .cancel(let number): await readers[number]?.stream.cancel()
        case .close(let number):
            await readers[number]?.stream.close()
            readers[number]?.unsettled = []
        case .settle(let number, let index, let settlement):
            return settle(number, index, settlement)
        case .purge(let number): return "\(try await declaring.purgeQueue(queue(number)))"
        case .deleteQueue(let number): return "\(try await declaring.deleteQueue(queue(number)))"
        case .deleteExchange(let number): try await declaring.deleteExchange(exchange(number))
        case .closeConnection where isHeldTwice: return "not done"
        case .closeConnection:
            await consuming.close()
            consuming = connect()
            got = []
        }
        return "done"
    }

    private func get(_ number: Int) async throws(AMQPError) -> Delivery? {
        do throws(AMQPError) {
            return try await consuming.get(queue: queue(number))
        } catch {
            // The channel of the gets is closed, and what it had goes back.
            got = []
            throw error
        }
    }

    private func publish(to target: Int?, _ key: String, _ priority: UInt8?, _ mandatory: Bool) async throws(AMQPError)
    {
        published += 1
        var properties = BasicProperties()
        properties.priority = priority
        let destination = target.map { Destination(exchange: exchange($0), routingKey: key) } ?? .queue(prefix + key)
        try await declaring.publish(
            Message(properties: properties, body: Array("m\(published)".utf8)),
            to: destination,
            mandatory: mandatory,
            deadline: .now + .seconds(60)
        )
    }

    /// One consumer a queue: which of several is served next is not the same at each run.
    private func consume(
        _ number: Int,
        _ target: Int,
        _ prefetch: UInt16,
        _ group: inout DiscardingTaskGroup
    ) async throws(AMQPError) -> String {
        let isTaken = readers.contains { other, reader in
            (other == number || reader.queue == target) && !reader.isOver
                || other == number && !reader.unsettled.isEmpty
        }
        // 3.10.8 lets a consumer have one more than its prefetch for each message that reaches the limit.
        if isTaken || limited.contains(target) { return "not done" }
        readers[number] = nil
        let stream = try await consuming.consume(queue: queue(target), prefetch: prefetch, arguments: [:])
        let reader = Reader(queue: target, stream: stream)
        readers[number] = reader
        let log = reader.log
        group.addTask { await log.read(stream) }
        return "done"
    }

    private func settle(_ number: Int?, _ index: Int, _ settlement: Operation.Settlement) -> String {
        let unsettled = number.map { readers[$0]?.unsettled ?? [] } ?? got
        guard !unsettled.isEmpty else { return "nothing" }
        let index = index % unsettled.count
        if let number { readers[number]?.unsettled.remove(at: index) } else { got.remove(at: index) }
        let delivery = unsettled[index]
        switch settlement {
        case .ack: delivery.ack()
        case .requeue: delivery.nack(requeue: true)
        case .discard: delivery.nack(requeue: false)
        case .rejectToQueue: delivery.reject(requeue: true)
        case .reject: delivery.reject(requeue: false)
        }
        return delivery.text
    }

    // MARK: Looking

    /// What can be seen: each queue's counts, and each consumer's deliveries.
    func observe() async -> [String] {
        var seen: [String] = []
        for number in 0...Operation.lastQueue {
            do throws(AMQPError) {
                let status = try await declaring.status(ofQueue: queue(number))
                let consumers = hasLeftovers(of: number) ? "" : ", \(status.consumerCount) consumers"
                seen.append("q\(number): \(status.messageCount) ready\(consumers)")
            } catch {
                seen.append("q\(number): \(error.code)")
            }
        }
        for (number, reader) in readers.sorted(by: { $0.key < $1.key }) {
            let (deliveries, end) = reader.log.state.withLock { ($0.deliveries, $0.end) }
            seen.append(
                "c\(number) of q\(reader.queue): \(deliveries.map(shown).joined(separator: " "))\(end.map { " \($0)" } ?? "")"
            )
        }
        return seen
    }

    /// Whether messages of one queue are held by two channels: which of them gives them back first isn't the same at each run.
    private var isHeldTwice: Bool {
        readers.values.contains { reader in
            !reader.unsettled.isEmpty && got.contains { $0.queue == queue(reader.queue) }
        }
    }

    /// Whether a message is unsettled that was got singly, or whose consumer is cancelled: a quorum queue counts that one still.
    private func hasLeftovers(of number: Int) -> Bool {
        got.contains { $0.queue == queue(number) }
            || readers.values.contains {
                $0.queue == number && $0.log.state.withLock { $0.end != nil && !$0.deliveries.isEmpty }
            }
    }

    /// Takes over what has come, once both brokers agree on it.
    func settleDown() {
        for number in readers.keys {
            guard var reader = readers[number] else { continue }
            let (deliveries, end) = reader.log.state.withLock { ($0.deliveries, $0.end) }
            reader.unsettled += deliveries[reader.taken...]
            reader.unsettled.removeAll(where: \.isLost)
            reader.taken = deliveries.count
            reader.isOver = end != nil
            readers[number] = reader
        }
    }

    private func shown(_ delivery: Delivery) -> String {
        // In a classic queue of 4.3 it depends on whether a dead letter waited a moment, which isn't the same at each run.
        let isFlagSure = delivery.message.deaths.isEmpty || isQuorum.contains { queue($0) == delivery.queue && $1 }
        var text = delivery.text + (delivery.isRedelivered && isFlagSure ? "r" : "")
        let count = delivery.deliveryCount
        if count > 0 { text += "x\(count)" }
        let deaths = delivery.message.deaths.map { death in
            let queue = plain(death["queue"]?.stringValue ?? "?")
            return "\(queue) \(death["reason"]?.stringValue ?? "?") \(death["count"]?.integerValue ?? 0)"
        }
        let way = "\(plain(delivery.destination.exchange))>\(plain(delivery.destination.routingKey))"
        return "\(text)(\(([way] + deaths.sorted()).joined(separator: ", ")))"
    }

    private func plain(_ name: String) -> String {
        name.hasPrefix(prefix) ? String(name.dropFirst(prefix.count)) : name
    }

    /// Ends everything.
    func end() async {
        for reader in readers.values { await reader.stream.close() }
        await consuming.close()
        for number in 0...Operation.lastQueue { _ = try? await declaring.deleteQueue(queue(number)) }
        for number in 0..<Operation.exchanges { try? await declaring.deleteExchange(exchange(number)) }
        await declaring.close()
    }
}
