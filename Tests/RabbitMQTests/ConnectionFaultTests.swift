import AMQP
import Foundation
import Synchronization
import TestSupport
import Testing

@testable import RabbitMQ

/// Requests and consumers because of which the broker closes the connection, and connections that are lost at the worst
/// moments.
@Suite(.timeLimit(.minutes(1))) struct ConnectionFaultTests {
    private typealias Frame = ScriptedBroker.Frame

    private enum Method {
        static let consume: UInt32 = 0x003C_0014
        static let get: UInt32 = 0x003C_0046
        static let cancel: UInt32 = 0x003C_001E
        static let ack: UInt32 = 0x003C_0050
        static let nack: UInt32 = 0x003C_0078
        static let publish: UInt32 = 0x003C_0028
        static let declareQueue: UInt32 = 0x0032_000A
        static let closeChannel: UInt32 = 0x0014_0028
    }

    private func error(_ body: () async throws -> Void) async -> AMQPError? {
        do {
            try await body()
            return nil
        } catch {
            return error as? AMQPError
        }
    }

    /// The queue of a `basic.consume` or `basic.get`.
    private static func queue(of frame: Frame) -> String {
        let name = frame.payload.dropFirst(6)
        return String(decoding: name.dropFirst().prefix(Int(name.first ?? 0)), as: UTF8.self)
    }

    /// The answer to a declaration, or to a passive one.
    private static func declared(_ frame: Frame) -> Frame {
        .method(0x0032_000B, [1, UInt8(ascii: "q"), 0, 0, 0, 0, 0, 0, 0, 0], channel: frame.channel)
    }

    @Test func `A request that makes the broker close the connection fails with its words, and is sent once`()
        async throws
    {
        let gets = Counter()
        let broker = ScriptedBroker { _, frame in
            guard frame.method == Method.get else { return [] }
            _ = gets.next()
            let text = "NOT_IMPLEMENTED - basic.get not supported by stream queues queue 'log' in vhost '/'"
            return [.close(540, text, method: Method.get, channel: 0)]
        }
        let client = try RabbitMQClient(url: broker.url)
        let other = try await client.consume(queue: "letters", prefetch: 1)
        let refusal = await error { _ = try await client.get(queue: "log") }
        #expect(refusal?.code == .refused)
        #expect(refusal?.message.contains("not supported by stream queues") == true)
        #expect(gets.value == 1)
        try await until { other.isRegistered }
        #expect(broker.connectionCount == 2)
    }

    /// The ways in which RabbitMQ refuses to consume a queue without a leader.
    enum Refusal: CaseIterable {
        /// That of 3.10 and 4.0.
        case silent
        /// That of 4.3.
        case naming

        fileprivate var frame: ScriptedBroker.Frame {
            switch self {
            case .silent: .close(541, "INTERNAL_ERROR", method: 0, channel: 0)
            case .naming:
                .close(
                    541,
                    "INTERNAL_ERROR - failed consuming from quorum queue 'leaderless' in vhost '/': nodedown",
                    method: Method.consume,
                    channel: 0
                )
            }
        }
    }

    @Test(arguments: Refusal.allCases)
    func `A new consumer that makes the broker close the connection fails with its words`(
        refusal: Refusal
    )
        async throws
    {
        let broker = ScriptedBroker { _, frame in
            guard frame.method == Method.consume, Self.queue(of: frame) == "leaderless" else { return [] }
            return [refusal.frame]
        }
        let client = try RabbitMQClient(url: broker.url)
        var healthy: [DeliveryStream] = []
        for number in 1...9 { healthy.append(try await client.consume(queue: "healthy-\(number)", prefetch: 1)) }
        let first = await error { _ = try await client.consume(queue: "leaderless", prefetch: 1) }
        #expect(first?.code == .unavailable)
        #expect(first?.isRetriable == true)
        try await until { healthy.allSatisfy(\.isRegistered) }
        // From now on it has a separate connection, so the others are left alone.
        for _ in 1...5 {
            let again = await error { _ = try await client.consume(queue: "leaderless", prefetch: 1) }
            #expect(again?.code == .unavailable)
            #expect(healthy.count { !$0.isRegistered } == 0)
        }
        #expect(client.statistics.reconnects == 1)
    }

    @Test(arguments: Refusal.allCases)
    func `New consumers are registered beside one whose queue has no leader`(
        refusal: Refusal
    )
        async throws
    {
        let broker = ScriptedBroker { _, frame in
            guard frame.method == Method.consume, Self.queue(of: frame) == "leaderless" else { return [] }
            return [refusal.frame]
        }
        let client = try RabbitMQClient(url: broker.url)
        let codes = await withTaskGroup(of: (String, AMQPError.Code?).self) { group in
            for queue in ["leaderless"] + (1...9).map({ "healthy-\($0)" }) {
                group.addTask {
                    let failure = await error { try await client.withConsumer(queue: queue, prefetch: 1) { _ in } }
                    return (queue, failure?.code)
                }
            }
            return await group.reduce(into: [:]) { $0[$1.0] = $1.1 }
        }
        #expect(codes == ["leaderless": .unavailable])
    }

    @Test(arguments: Refusal.allCases)
    func `An isolated consumer that makes the broker close its connection harms no other`(
        refusal: Refusal
    )
        async throws
    {
        let broker = ScriptedBroker { _, frame in
            guard frame.method == Method.consume, Self.queue(of: frame) == "leaderless" else { return [] }
            return [refusal.frame]
        }
        let client = try RabbitMQClient(url: broker.url)
        let options = ConsumeOptions(isIsolated: true)
        let own = try await client.consume(queue: "healthy", prefetch: 1, options: options)
        let shared = try await client.consume(queue: "healthy", prefetch: 1)
        for attempt in 1...5 {
            let failure = await error {
                _ = try await client.consume(queue: "leaderless", prefetch: 1, options: options)
            }
            #expect(failure?.code == .unavailable)
            #expect(broker.connectionCount == 2 + attempt)
        }
        #expect(own.isRegistered && shared.isRegistered)
        #expect(client.statistics.reconnects == 0)
    }

    @Test func `The connection of an isolated consumer closes itself if nobody waits for it any more`() async throws {
        let (logIn, sawClose) = (DispatchSemaphore(value: 0), Counter())
        let broker = ScriptedBroker { _, frame in
            if frame.method == 0x000A_000B { logIn.wait() }
            if frame.method == 0x000A_0032 { sawClose.next() }
            return []
        }
        let client = try RabbitMQClient(url: broker.url)
        let options = ConsumeOptions(isIsolated: true)
        let late = await error {
            _ = try await client.consume(queue: "q", prefetch: 1, options: options, timeout: .milliseconds(20))
        }
        #expect(late?.code == .deadlineExceeded)
        logIn.signal()
        try await until { sawClose.value == 1 }
    }

    @Test(arguments: Refusal.allCases)
    func `A recovering consumer whose queue has no leader rests on a separate connection`(refusal: Refusal) async throws
    {
        let isUnavailable = Mutex(false)
        let registrations = Counter()
        let attempts = Counter()
        let broker = ScriptedBroker { _, frame in
            guard frame.method == Method.consume else { return [] }
            if Self.queue(of: frame) == "leaderless", isUnavailable.withLock(\.self) {
                attempts.next()
                return [refusal.frame]
            }
            if Self.queue(of: frame).hasPrefix("healthy") { _ = registrations.next() }
            if Self.queue(of: frame) == "trigger" { return [.close(320, "CONNECTION_FORCED", method: 0, channel: 0)] }
            return []
        }
        let client = try RabbitMQClient(url: broker.url)
        var healthy: [DeliveryStream] = []
        for number in 1...9 { healthy.append(try await client.consume(queue: "healthy-\(number)", prefetch: 1)) }
        let troubled = try await client.consume(queue: "leaderless", prefetch: 1)
        isUnavailable.withLock { $0 = true }
        _ = try? await client.consume(queue: "trigger", prefetch: 1, timeout: .milliseconds(500))
        try await until { healthy.allSatisfy(\.isRegistered) && !troubled.isRegistered }
        let before = registrations.value
        let earlier = attempts.value
        try await until { attempts.value >= earlier + 2 }
        #expect(registrations.value == before)
        isUnavailable.withLock { $0 = false }
        try await until { troubled.isRegistered }
        #expect(registrations.value == before)
    }

    @Test func `Names and arguments that AMQP can't carry are refused before anything is sent`() async throws {
        let broker = ScriptedBroker()
        let client = try RabbitMQClient(url: broker.url)
        let long = String(repeating: "n", count: 256)
        let key: FieldTable = ["nested": .table([long: true])]
        let number: FieldTable = ["x": .double(.nan)]
        var queue = QueueDeclaration("q")
        queue.arguments.other = number
        let refused = queue
        let calls: [@Sendable () async throws -> Void] = [
            { _ = try await client.get(queue: long) },
            { _ = try await client.status(ofQueue: long) },
            { _ = try await client.deleteQueue(long) },
            { _ = try await client.purgeQueue(long) },
            { _ = try await client.exchangeExists(long) },
            { try await client.deleteExchange(long) },
            { _ = try await client.consume(queue: long, prefetch: 1) },
            { _ = try await client.consume(queue: "q", prefetch: 1, arguments: key) },
            { _ = try await client.consume(queue: "q", prefetch: 1, options: .init(consumerTag: long)) },
            { _ = try await client.declare(refused) },
            { try await client.declare(ExchangeDeclaration("x", kind: .direct, otherArguments: number)) },
            { try await client.bind(Binding(from: "x", to: .queue("q"), routingKey: "", arguments: key)) },
            { try await client.unbind(Binding(from: "x", to: .queue("q"), routingKey: "", arguments: number)) },
        ]
        for call in calls {
            let refusal = await error { try await call() }
            #expect(refusal?.code == .invalidArgument)
        }
        #expect(broker.connectionCount == 0)
    }

    @Test func `Whatever is being sent when the connection is lost, everything continues on the next one`() async throws
    {
        let broker = ScriptedBroker { _, frame in
            switch frame.method {
            case Method.publish: [.ack(1, channel: frame.channel)]
            case Method.declareQueue: [Self.declared(frame)]
            default: []
            }
        }
        // The sends of a recovery: for each of three consumers and two request channels an opening and more.
        for k in 1...14 {
            let failing = FailingSend()
            var configuration = RabbitMQClient.Configuration(url: try BrokerURL(broker.url))
            configuration.failsSend = { failing.fails() }
            let client = try RabbitMQClient(configuration)
            var streams: [DeliveryStream] = []
            for number in 1...3 { streams.append(try await client.consume(queue: "q\(number)", prefetch: 1)) }
            try await client.declare(QueueDeclaration("transient", isAutoDelete: true))
            failing.failNow(andAgainAfter: k)
            // The first failure loses the connection; the k-th after it, its successor.
            _ = try await client.status(ofQueue: "q1")
            try await until { streams.allSatisfy(\.isRegistered) }
            _ = try await client.status(ofQueue: "q1")
            await client.close()
        }
    }

    /// Fails one send, and another a number of sends later.
    private final class FailingSend: Sendable {
        private let next = Mutex<[Int]>([])

        func failNow(andAgainAfter count: Int) { next.withLock { $0 = [1, count] } }

        func fails() -> Bool {
            next.withLock { next in
                guard !next.isEmpty else { return false }
                next[0] -= 1
                guard next[0] == 0 else { return false }
                next.removeFirst()
                return true
            }
        }
    }

    @Test func `A cancelled get requeues its message`() async throws {
        let answer = DispatchSemaphore(value: 0)
        let received = Counter()
        let settled = Mutex<[UInt32]>([])
        let broker = ScriptedBroker { _, frame in
            if [Method.ack, Method.nack].contains(frame.method) { settled.withLock { $0.append(frame.method) } }
            guard frame.method == Method.get else { return [] }
            _ = received.next()
            answer.wait()
            let ok: [UInt8] = [0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 1, UInt8(ascii: "q"), 0, 0, 0, 0]
            return [
                .method(0x003C_0047, ok, channel: frame.channel),
                Frame(type: 2, channel: frame.channel, payload: [0, 60, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]),
            ]
        }
        let client = try RabbitMQClient(url: broker.url)
        let get = Task { try await client.get(queue: "q") }
        try await until { received.value == 1 }
        get.cancel()
        let cancelled = await error { _ = try await get.value }
        #expect(cancelled?.code == .cancelled)
        #expect(cancelled?.underlying is CancellationError)
        answer.signal()
        try await until { settled.withLock(\.self) == [Method.nack] }
    }

    @Test func `Deliveries that come together with the end of the consumer are read`() async throws {
        let broker = ScriptedBroker { _, frame in
            guard frame.method == Method.cancel else { return [] }
            return Frame.delivery(1, channel: frame.channel)
                + [.method(0x003C_001F, [1, UInt8(ascii: "t")], channel: frame.channel)]
        }
        let client = try RabbitMQClient(url: broker.url)
        let stream = try await client.consume(queue: "q", prefetch: 1)
        await stream.cancel()
        #expect(try await stream.nextBatch().map(\.tag) == [1])
        #expect(try await stream.nextBatch().isEmpty)
    }

    @Test func `The channel of a consumer that has ended closes itself when its last delivery is settled`() async throws
    {
        let closed = Counter()
        let broker = ScriptedBroker { _, frame in
            if frame.method == Method.closeChannel { _ = closed.next() }
            guard frame.method == Method.consume else { return [] }
            return [.method(0x003C_0015, [1, UInt8(ascii: "t")], channel: frame.channel)]
                + Frame.delivery(1, channel: frame.channel) + Frame.delivery(2, channel: frame.channel)
        }
        let client = try RabbitMQClient(url: broker.url)
        for isDropped in [false, true] {
            let stream = try await client.consume(queue: "q", prefetch: 2)
            var batch: [Delivery] = []
            while batch.count < 2 { batch += try await stream.nextBatch() }
            await stream.cancel()
            batch.removeFirst().ack()
            _ = try await client.broker()
            #expect(closed.value == (isDropped ? 1 : 0))
            if isDropped { batch = [] } else { batch[0].ack() }
            try await until { closed.value == (isDropped ? 2 : 1) }
        }
    }

    @Test func `More consumers than there are channels may come one after another`() async throws {
        let broker = ScriptedBroker(channelMax: 8)
        let client = try RabbitMQClient(url: broker.url)
        for _ in 1...20 {
            try await client.withConsumer(queue: "q", prefetch: 1) { #expect($0.isRegistered) }
        }
        #expect(broker.connectionCount == 1)
    }

    @Test func `The answer to a close doesn't close the channel that has its number now`() async throws {
        let broker = ScriptedBroker { _, frame in
            guard frame.method == Method.closeChannel else { return [] }
            // Both sides close it at the same moment; the broker still answers.
            return [
                .close(406, "PRECONDITION_FAILED - timed out", method: 0, channel: frame.channel),
                .method(0x0014_0029, channel: frame.channel),
            ]
        }
        let client = try RabbitMQClient(url: broker.url)
        let first = try await client.consume(queue: "q", prefetch: 1)
        async let closing: Void = first.cancel(requeuesUnsettled: true)
        let second = try await client.consume(queue: "q", prefetch: 1)
        await closing
        _ = try await client.broker()
        #expect(second.isRegistered)
        #expect(broker.connectionCount == 1)
    }

    @Test func `Closing in a cancelled task closes in good order`() async throws {
        let sawClose = Counter()
        let confirms = Counter()
        let broker = ScriptedBroker { _, frame in
            if frame.method == 0x000A_0032 { _ = sawClose.next() }
            return frame.method == Method.publish ? [.ack(UInt64(confirms.next()), channel: frame.channel)] : []
        }
        let client = try RabbitMQClient(url: broker.url)
        let stream = try await client.consume(queue: "q", prefetch: 1)
        try await client.publish(Message("A"), to: .queue("q"))
        await Task {
            unsafe withUnsafeCurrentTask { unsafe $0?.cancel() }
            await stream.cancel()
            await client.close()
        }.value
        #expect(sawClose.value == 2)
        let late = await error { try await client.publish(Message("A"), to: .queue("q")) }
        #expect(late?.code == .closed)
        #expect(late?.isRetriable == false)
    }

    @Test func `Closing waits for the confirms that are due`() async throws {
        let (hasPublish, mayConfirm) = (Counter(), DispatchSemaphore(value: 0))
        let broker = ScriptedBroker { _, frame in
            guard frame.method == Method.publish else { return [] }
            hasPublish.next()
            mayConfirm.wait()
            return [.ack(1, channel: frame.channel)]
        }
        let client = try RabbitMQClient(url: broker.url)
        async let publish: Void = client.publish(Message("A"), to: .queue("q"))
        try await until { hasPublish.value == 1 }
        async let close: Void = client.close()
        // Consumers are on another connection.
        while await error({ try await client.consume(queue: "q", prefetch: 1).cancel() })?.code != .closed {}
        mayConfirm.signal()
        try await publish
        await close
    }

    @Test func `A client that is let go ends its readers`() async throws {
        let broker = ScriptedBroker()
        var client: RabbitMQClient? = try RabbitMQClient(url: broker.url)
        let stream = try #require(try await client?.consume(queue: "q", prefetch: 1))
        client = nil
        let end = await error { _ = try await stream.nextBatch() }
        #expect(end?.code == .closed)
    }

    @Test func `Consuming and cancelling wait for a broker that can't be reached no longer than their limits`()
        async throws
    {
        var configuration = RabbitMQClient.Configuration(
            url: try BrokerURL("amqp://127.0.0.1:\(silentPort)?connection_timeout=3600000")
        )
        configuration.requestTimeout = .milliseconds(200)
        let client = try RabbitMQClient(configuration)
        let late = await error { _ = try await client.consume(queue: "q", prefetch: 1) }
        #expect(late?.code == .deadlineExceeded)
    }

    private var silentPort: UInt16 { localPort(of: listeningSocket()) }

    @Test func `Messages for an exchange that is being declared again wait for it, and others don't`() {
        let topology = TransientTopology()
        var declared = DeclaredTopology()
        declared.note(.declareExchange(ExchangeDeclaration("news", kind: .fanout, isAutoDelete: true), passive: false))
        topology.lost(declared)
        var publisher = Publisher()
        func pending(_ exchange: String) -> PendingPublish {
            PendingPublish(
                Message("A"),
                properties: [],
                to: Destination(exchange: exchange, routingKey: ""),
                mandatory: false,
                deadline: .now + .seconds(30)
            )
        }
        _ = publisher.enqueue([pending("news"), pending("other")])
        _ = publisher.opened(1)
        publisher.selected()
        #expect(publisher.next(unless: topology.missing)?.publish.destination.exchange == "other")
        #expect(publisher.next(unless: topology.missing) == nil)
        topology.restored()
        publisher.release()
        #expect(publisher.next(unless: topology.missing)?.publish.destination.exchange == "news")
    }
}
