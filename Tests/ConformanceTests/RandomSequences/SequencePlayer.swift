import AMQP

/// Plays the operations of a sequence on one broker.
final class SequencePlayer {
    private let connect: () -> any Transport
    private let declaring: any Transport
    private var consuming: any Transport
    private let names: SequenceNames
    private var differences = KnownDifferences()
    private var consumers: [Int: SequenceConsumer] = [:]
    /// The unsettled messages that were got singly.
    private var got: [Delivery] = []
    private var published = 0

    /// A player that declares and consumes on separate connections.
    ///
    /// - Parameter names: The names of this sequence's queues and exchanges.
    /// - Parameter connect: Opens a connection.
    init(names: SequenceNames, connect: @escaping () -> any Transport) {
        self.names = names
        self.connect = connect
        declaring = connect()
        consuming = connect()
    }

    /// Declares the queue that exists from the start.
    func begin() async {
        _ = try? await declaring.declare(
            QueueDeclaration(names.queue(Operation.lastQueue), arguments: QueueArguments(.classic))
        )
    }

    /// Plays an operation; returns its result as text.
    func play(_ operation: Operation, _ group: inout DiscardingTaskGroup) async -> String {
        do throws(AMQPError) {
            return try await perform(operation, &group)
        } catch {
            return "\(error.code) \(error.reply?.code ?? 0)"
        }
    }

    /// The visible state of the broker.
    func observe() async -> SequenceObservation {
        await SequenceObservation(
            on: declaring,
            names: names,
            consumers: consumers,
            got: got,
            differences: differences
        )
    }

    /// Makes the received deliveries available to operations, once both brokers agree on them.
    func acceptReceived() {
        for number in consumers.keys { consumers[number]?.acceptReceived() }
    }

    /// Closes all connections and deletes everything that was declared.
    func end() async {
        for consumer in consumers.values { await consumer.stream.cancel(requeuesUnsettled: true) }
        await consuming.close()
        for number in 0...Operation.lastQueue { _ = try? await declaring.deleteQueue(names.queue(number)) }
        for number in 0..<Operation.exchanges { try? await declaring.deleteExchange(names.exchange(number)) }
        await declaring.close()
    }

    // MARK: Operations

    private func perform(_ operation: Operation, _ group: inout DiscardingTaskGroup) async throws(AMQPError) -> String {
        switch operation {
        case .declareQueue(let number, let profile): return try await declareQueue(number, profile)
        case .declareExchange(let number, let kind):
            try await declaring.declare(ExchangeDeclaration(names.exchange(number), kind: kind))
        case .bind(let source, let target, let key):
            try await declaring.bind(binding(from: source, to: .queue(names.queue(target)), key))
        case .bindExchange(let target, let source, let key):
            try await declaring.bind(binding(from: source, to: .exchange(names.exchange(target)), key))
        case .unbind(let source, let target, let key):
            try await declaring.unbind(binding(from: source, to: .queue(names.queue(target)), key))
        case .publish(let target, let key, let priority, let mandatory):
            try await publish(to: target, key, priority, mandatory)
        case .get(let number): return try await get(number)
        case .consume(let number, let target, let prefetch):
            return try await consume(number, target, prefetch, &group)
        case .cancel(let number): await consumers[number]?.stream.cancel()
        case .close(let number):
            await consumers[number]?.stream.cancel(requeuesUnsettled: true)
            consumers[number]?.unsettled = []
        case .settle(let number, let index, let settlement): return settle(number, index, settlement)
        case .purge(let number): return "\(try await declaring.purgeQueue(names.queue(number)))"
        case .deleteQueue(let number): return "\(try await declaring.deleteQueue(names.queue(number)))"
        case .deleteExchange(let number): try await declaring.deleteExchange(names.exchange(number))
        case .closeConnection:
            guard differences.allowsClosing(consumers, got: got, names: names) else { return "not done" }
            await consuming.close()
            consuming = connect()
            got = []
        }
        return "done"
    }

    private func declareQueue(_ number: Int, _ profile: QueueProfile) async throws(AMQPError) -> String {
        guard differences.allowDeclaration(of: number, as: profile) else { return "not done" }
        let declaration = profile.declaration(
            names.queue(number),
            refusedTo: names.queue((number + 1) % Operation.queues),
            surplusTo: names.queue(Operation.lastQueue)
        )
        let status = try await declaring.declare(declaration)
        return "\(status.messageCount) ready"
    }

    private func binding(from exchange: Int, to target: Binding.Target, _ key: String) -> Binding {
        Binding(from: names.exchange(exchange), to: target, routingKey: key)
    }

    private func publish(to target: Int?, _ key: String, _ priority: UInt8?, _ mandatory: Bool) async throws(AMQPError)
    {
        published += 1
        var properties = BasicProperties()
        properties.priority = priority
        let destination =
            target.map { Destination(exchange: names.exchange($0), routingKey: key) } ?? .queue(names.prefix + key)
        try await declaring.publish(
            Message(properties: properties, body: Array("m\(published)".utf8)),
            to: destination,
            mandatory: mandatory,
            deadline: .now + .seconds(60)
        )
    }

    private func get(_ number: Int) async throws(AMQPError) -> String {
        do throws(AMQPError) {
            guard let delivery = try await consuming.get(queue: names.queue(number)) else { return "nothing" }
            got.append(delivery)
            return SequenceObservation.describe(delivery, names, differences)
        } catch {
            // The error closes the channel of the gets, and their messages are requeued.
            got = []
            throw error
        }
    }

    private func consume(
        _ number: Int,
        _ target: Int,
        _ prefetch: UInt16,
        _ group: inout DiscardingTaskGroup
    ) async throws(AMQPError) -> String {
        guard differences.allowsConsumer(number, on: target, among: consumers) else { return "not done" }
        consumers[number] = nil
        let stream = try await consuming.consume(queue: names.queue(target), prefetch: prefetch, arguments: [:])
        let consumer = SequenceConsumer(queue: target, stream: stream)
        consumers[number] = consumer
        let received = consumer.received
        group.addTask { await received.read(stream) }
        return "done"
    }

    private func settle(_ number: Int?, _ index: Int, _ settlement: Operation.Settlement) -> String {
        let unsettled = number.map { consumers[$0]?.unsettled ?? [] } ?? got
        guard !unsettled.isEmpty else { return "nothing" }
        let index = index % unsettled.count
        if let number { consumers[number]?.unsettled.remove(at: index) } else { got.remove(at: index) }
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
}
