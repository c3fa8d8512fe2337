import AMQP
import Synchronization

@testable import Warren

/// A broker of arrays, for tests of the worker: it routes, delivers within the prefetch, takes settlements, and fails on demand.
///
/// Time to live is not kept: ``expire(_:)`` lets a queue's messages expire.
final class FakeBroker: Transport {
    struct Stored: Sendable {
        var message: Message
        var destination: Destination
        var isRedelivered = false
    }

    struct Consumer: Sendable {
        var stream: DeliveryStream
        var prefetch: Int
        var unsettled: [UInt64: Stored] = [:]
    }

    struct Queue: Sendable {
        var declaration: QueueDeclaration
        var ready: [Stored] = []
        var consumers: [Int: Consumer] = [:]
    }

    struct State: Sendable {
        var exchanges: [String: ExchangeDeclaration] = [:]
        var queues: [String: Queue] = [:]
        var bindings: Set<Binding> = []
        var published: [Stored] = []
        var acked = 0
        var requeued = 0
        /// What got a delivery outside of a consumer holds.
        var got: [UInt64: (queue: String, stored: Stored)] = [:]
        /// Errors for the next publishes, consumes and declarations.
        var publishErrors: [AMQPError] = []
        var consumeErrors: [AMQPError] = []
        var declareErrors: [AMQPError] = []
        /// Queues with this in their names may not be declared.
        var forbiddenQueues: String?
        /// Consumers that are registered and get nothing, by their numbers.
        var deaf: Set<Int> = []
        /// Deliveries whose channel is gone.
        var lost: Set<UInt64> = []
        var tag: UInt64 = 0
        var consumerID = 0

        func ready(_ queue: String) -> [Message] { queues[queue]?.ready.map(\.message) ?? [] }
        func consumers(_ queue: String) -> Int { queues[queue]?.consumers.count ?? 0 }
        var unsettled: Int { got.count + queues.values.flatMap(\.consumers.values).map(\.unsettled.count).reduce(0, +) }
    }

    private struct Watch: Sendable {
        var condition: @Sendable (State) -> Bool
        var continuation: CheckedContinuation<Void, Never>
    }

    private let state = Mutex(State())
    private let watches = Mutex<[Watch]>([])
    let version: BrokerVersion

    init(version: BrokerVersion = BrokerVersion(4, 0)) { self.version = version }

    func now<Value: Sendable>(_ read: @Sendable (State) -> Value) -> Value { state.withLock { read($0) } }

    func change(_ body: (inout State) -> Void) {
        state.withLock { body(&$0) }
        pump()
    }

    /// Waits until a condition on the broker's state holds; looked at after each change.
    func until(_ condition: @escaping @Sendable (State) -> Bool) async {
        await withCheckedContinuation { continuation in
            watches.withLock { $0.append(Watch(condition: condition, continuation: continuation)) }
            notify()
        }
    }

    /// Lets all that waits in a queue expire into its dead-letter exchange.
    func expire(_ queue: String) {
        change { state in
            guard let found = state.queues[queue], let exchange = found.declaration.arguments.deadLetterExchange else {
                return
            }
            state.queues[queue]?.ready = []
            for var stored in found.ready {
                let key = found.declaration.arguments.deadLetterRoutingKey ?? stored.destination.routingKey
                stored.destination = Destination(exchange: exchange, routingKey: key)
                Self.route(stored, &state)
            }
        }
    }

    /// Ends all consumers of a queue as a broker does that loses them; what they held goes back.
    func loseConsumers(of queue: String, _ code: AMQPError.Code = .connectionLost) {
        var streams: [DeliveryStream] = []
        change { state in
            for (id, consumer) in state.queues[queue]?.consumers ?? [:] {
                streams.append(consumer.stream)
                Self.giveBack(consumer, queue, &state)
                state.queues[queue]?.consumers[id] = nil
            }
        }
        for stream in streams { stream.finish(throwing: AMQPError(code, "Lost, says the test.")) }
        pump()
    }

    // MARK: Transport

    func broker() async throws(AMQPError) -> BrokerIdentity { BrokerIdentity(product: "Fake", version: version) }

    func declare(_ exchange: ExchangeDeclaration) async throws(AMQPError) {
        try failIfAsked(\.declareErrors)
        change { $0.exchanges[exchange.name] = $0.exchanges[exchange.name] ?? exchange }
    }

    func declare(_ queue: QueueDeclaration) async throws(AMQPError) -> QueueStatus {
        try failIfAsked(\.declareErrors)
        if let forbidden = now({ $0.forbiddenQueues }), queue.name.contains(forbidden) {
            throw AMQPError(.accessRefused, "The queue '\(queue.name)' is forbidden.")
        }
        change { $0.queues[queue.name] = $0.queues[queue.name] ?? Queue(declaration: queue) }
        return try await status(ofQueue: queue.name)
    }

    func bind(_ binding: Binding) async throws(AMQPError) { change { $0.bindings.insert(binding) } }
    func unbind(_ binding: Binding) async throws(AMQPError) { change { $0.bindings.remove(binding) } }
    func deleteExchange(_ name: String) async throws(AMQPError) { change { $0.exchanges[name] = nil } }

    func deleteQueue(_ name: String) async throws(AMQPError) -> Int {
        let count = now { $0.ready(name).count }
        loseConsumers(of: name, .consumerCancelled)
        change { state in
            state.queues[name] = nil
            state.bindings = state.bindings.filter { $0.target != .queue(name) }
        }
        return count
    }

    func purgeQueue(_ name: String) async throws(AMQPError) -> Int {
        let count = now { $0.ready(name).count }
        change { $0.queues[name]?.ready = [] }
        return count
    }

    func status(ofQueue name: String) async throws(AMQPError) -> QueueStatus {
        let found = now { state in state.queues[name].map { ($0.ready.count, $0.consumers.count) } }
        guard let (messages, consumers) = found else { throw AMQPError(.notFound, "No queue '\(name)'.") }
        return QueueStatus(name: name, messageCount: messages, consumerCount: consumers)
    }

    func exchangeExists(_ name: String) async throws(AMQPError) -> Bool { now { $0.exchanges[name] != nil } }

    func publish(
        _ message: Message,
        to destination: Destination,
        mandatory: Bool,
        deadline: ContinuousClock.Instant
    ) async throws(AMQPError) {
        try failIfAsked(\.publishErrors)
        var error: AMQPError?
        change { state in
            guard destination.exchange.isEmpty || state.exchanges[destination.exchange] != nil else {
                error = AMQPError(.notFound, "No exchange '\(destination.exchange)'.")
                return
            }
            let stored = Stored(message: message, destination: destination)
            state.published.append(stored)
            if !Self.route(stored, &state), mandatory { error = AMQPError(.unroutable, "No queue for \(destination).") }
        }
        if let error { throw error }
    }

    func consume(queue: String, prefetch: UInt16, arguments: FieldTable) async throws(AMQPError) -> DeliveryStream {
        try failIfAsked(\.consumeErrors)
        let id = state.withLock { state in
            state.consumerID += 1
            return state.consumerID
        }
        let stream = DeliveryStream(
            control: .init(
                cancel: { [weak self] in self?.end(id, queue, closes: false) },
                close: { [weak self] in self?.end(id, queue, closes: true) }
            )
        )
        guard now({ $0.queues[queue] != nil }) else { throw AMQPError(.notFound, "No queue '\(queue)'.") }
        change { $0.queues[queue]?.consumers[id] = Consumer(stream: stream, prefetch: Int(prefetch)) }
        return stream
    }

    func get(queue: String) async throws(AMQPError) -> Delivery? {
        var delivery: Delivery?
        change { state in
            guard let stored = state.queues[queue]?.ready.first else { return }
            state.queues[queue]?.ready.removeFirst()
            state.tag += 1
            state.got[state.tag] = (queue, stored)
            delivery = self.delivery(stored, queue, state.tag)
        }
        return delivery
    }

    func close() async {}

    // MARK: Inside

    private func failIfAsked(_ errors: any WritableKeyPath<State, [AMQPError]> & Sendable) throws(AMQPError) {
        let error = state.withLock { state in
            state[keyPath: errors].isEmpty ? nil : state[keyPath: errors].removeFirst()
        }
        if let error { throw error }
    }

    private func end(_ id: Int, _ queue: String, closes: Bool) {
        var stream: DeliveryStream?
        change { state in
            guard let consumer = state.queues[queue]?.consumers[id] else { return }
            stream = consumer.stream
            if closes {
                Self.giveBack(consumer, queue, &state)
                state.queues[queue]?.consumers[id] = nil
            } else {
                state.queues[queue]?.consumers[id]?.prefetch = 0
            }
        }
        stream?.finish()
    }

    private static func giveBack(_ consumer: Consumer, _ queue: String, _ state: inout State) {
        for (tag, stored) in consumer.unsettled.sorted(by: { $0.key > $1.key }) {
            state.lost.insert(tag)
            requeue(stored, queue, &state, counts: true)
        }
    }

    private static func requeue(_ stored: Stored, _ queue: String, _ state: inout State, counts: Bool) {
        var stored = stored
        stored.isRedelivered = true
        if counts, state.queues[queue]?.declaration.arguments.kind == .quorum {
            let count = stored.message.properties.headers?[EnvelopeHeader.deliveryCount]?.integerValue ?? 0
            stored.message.properties.headers?[EnvelopeHeader.deliveryCount] = .integer(count + 1)
        }
        state.requeued += 1
        state.queues[queue]?.ready.insert(stored, at: 0)
    }

    fileprivate func settle(_ tag: UInt64, _ settlement: DeliverySettlement) {
        change { state in
            var found: (queue: String, stored: Stored)? = state.got.removeValue(forKey: tag)
            for (name, queue) in state.queues {
                for id in queue.consumers.keys {
                    if let stored = state.queues[name]?.consumers[id]?.unsettled.removeValue(forKey: tag) {
                        found = (name, stored)
                    }
                }
            }
            guard let (name, stored) = found else { return }
            switch settlement {
            case .ack: state.acked += 1
            case .requeue:
                Self.requeue(stored, name, &state, counts: BrokerFeatures(version).nackCountsTowardsDeliveryLimit)
            case .reject(requeue: true): Self.requeue(stored, name, &state, counts: true)
            case .discard, .reject(requeue: false): break
            }
        }
    }

    @discardableResult
    private static func route(_ stored: Stored, _ state: inout State) -> Bool {
        let targets = targets(stored.destination, state)
        for name in targets { state.queues[name]?.ready.append(stored) }
        return !targets.isEmpty
    }

    private static func targets(_ destination: Destination, _ state: State) -> Set<String> {
        let key = destination.routingKey
        if destination.exchange.isEmpty { return state.queues[key] == nil ? [] : [key] }
        let kind = state.exchanges[destination.exchange]?.kind
        var found: Set<String> = []
        for binding in state.bindings where binding.source == destination.exchange {
            let words = { (text: String) in text.split(separator: ".", omittingEmptySubsequences: false)[...] }
            let matches =
                kind == .fanout
                || (kind == .topic
                    ? TopicModel.topic(words(binding.routingKey), matches: words(key)) : binding.routingKey == key)
            guard matches else { continue }
            switch binding.target {
            case .queue(let name): if state.queues[name] != nil { found.insert(name) }
            case .exchange(let name): found.formUnion(targets(Destination(exchange: name, routingKey: key), state))
            }
        }
        return found
    }

    private func delivery(_ stored: Stored, _ queue: String, _ tag: UInt64) -> Delivery {
        Delivery(
            message: stored.message,
            destination: stored.destination,
            queue: queue,
            isRedelivered: stored.isRedelivered,
            tag: tag,
            settler: FakeSettler(self, tag)
        )
    }

    /// Delivers what consumers have room for, and looks at what tests wait for.
    private func pump() {
        let batches = state.withLock { state in
            var batches: [(DeliveryStream, [Delivery])] = []
            for (name, queue) in state.queues {
                for id in queue.consumers.keys.sorted() where !state.deaf.contains(id) {
                    var batch: [Delivery] = []
                    while let consumer = state.queues[name]?.consumers[id],
                        consumer.unsettled.count < consumer.prefetch,
                        let stored = state.queues[name]?.ready.first
                    {
                        state.queues[name]?.ready.removeFirst()
                        state.tag += 1
                        state.queues[name]?.consumers[id]?.unsettled[state.tag] = stored
                        batch.append(delivery(stored, name, state.tag))
                    }
                    if let stream = state.queues[name]?.consumers[id]?.stream, !batch.isEmpty {
                        batches.append((stream, batch))
                    }
                }
            }
            return batches
        }
        for (stream, batch) in batches { stream.yield(batch) }
        notify()
    }

    private func notify() {
        let snapshot = now { $0 }
        let met = watches.withLock { watches in
            let met = watches.filter { $0.condition(snapshot) }
            watches.removeAll { $0.condition(snapshot) }
            return met
        }
        for watch in met { watch.continuation.resume() }
    }
}

private final class FakeSettler: DeliverySettler {
    private let broker: FakeBroker
    private let tag: UInt64

    init(_ broker: FakeBroker, _ tag: UInt64) {
        self.broker = broker
        self.tag = tag
    }

    var isGone: Bool { broker.now { $0.lost.contains(tag) } }

    func settle(_ tag: UInt64, _ settlement: DeliverySettlement) { broker.settle(tag, settlement) }
}
