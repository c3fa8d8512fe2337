import FlyingSocks
import Foundation
import Synchronization

/// One connection through a ``FaultProxy``.
final class ProxyConnection: Sendable {
    /// What is to be done at the next fitting byte.
    enum Order: Sendable {
        case reset(ProxyDirection)
        case injectBadFrame
    }

    /// How a connection ends.
    enum Ending: Sendable {
        case cut
        case reset
        /// One side has nothing more to say, and the other isn't told.
        case unnoticed
    }

    private struct State: Sendable {
        var order: Order?
        var deliveringChannels: Set<UInt16> = []
    }

    private let client: AsyncSocket
    private let proxy: FaultProxy
    private let state = Mutex(State())
    private let endings: AsyncStream<Ending>
    private let ender: AsyncStream<Ending>.Continuation

    init(_ client: AsyncSocket, _ proxy: FaultProxy) {
        self.client = client
        self.proxy = proxy
        (endings, ender) = AsyncStream.makeStream(bufferingPolicy: .bufferingOldest(1))
    }

    func order(_ order: Order) { state.withLock { $0.order = order } }
    func end(_ ending: Ending) { ender.yield(ending) }

    var mode: ProxyMode { proxy.mode }

    /// Carries bytes until either side ends the connection or the proxy is told to.
    func run() async {
        if proxy.mode == .refuse { return client.reset() }
        if proxy.mode == .blackHole { return await swallowAll() }
        guard let broker = try? await Loopback.connect(to: proxy.brokerPort) else { return client.reset() }
        let isReset = await withTaskGroup(of: Ending.self) { group in
            group.addTask { await ProxyPump(self, .toBroker, from: self.client, to: broker).run() }
            group.addTask { await ProxyPump(self, .toClient, from: broker, to: self.client).run() }
            group.addTask { [endings] in await endings.first { _ in true } ?? .cut }
            var unnoticed = 0
            for await ending in group {
                if ending == .unnoticed { unnoticed += 1 }
                guard ending != .unnoticed || unnoticed == 2 else { continue }
                group.cancelAll()
                return ending == .reset
            }
            return false
        }
        for socket in [client, broker] {
            if isReset { socket.reset() } else { try? socket.close() }
        }
    }

    /// What to do now with bytes that go in a direction.
    func takeOrder(_ direction: ProxyDirection, isPossible: (Order, Set<UInt16>) -> Bool) -> (Order, Set<UInt16>)? {
        state.withLock { state in
            guard let order = state.order, order.concerns(direction), isPossible(order, state.deliveringChannels) else {
                return nil
            }
            state.order = nil
            return (order, state.deliveringChannels)
        }
    }

    func note(deliveringChannels: Set<UInt16>) { state.withLock { $0.deliveringChannels = deliveringChannels } }

    private func swallowAll() async {
        await withTaskGroup(of: Void.self) { group in
            group.addTask { while (try? await self.client.read(atMost: 65_536)) != nil {} }
            group.addTask { [endings] in for await _ in endings { return } }
            await group.next()
            group.cancelAll()
        }
        try? client.close()
    }
}

extension ProxyConnection.Order {
    fileprivate func concerns(_ direction: ProxyDirection) -> Bool {
        switch self {
        case .reset(let wanted): wanted == direction
        case .injectBadFrame: direction == .toBroker
        }
    }
}

/// Carries the bytes of one direction of a connection.
final class ProxyPump: Sendable {
    private enum Item: Sendable {
        case bytes([UInt8], due: ContinuousClock.Instant)
        case end(ProxyConnection.Ending)
    }

    /// How many bytes may be on their way; a sender that is faster has to wait.
    private static let capacity = 1 << 20

    private let connection: ProxyConnection
    private let direction: ProxyDirection
    private let source: AsyncSocket
    private let target: AsyncSocket
    private let underWay = Atomic(0)
    private let items: AsyncStream<Item>
    private let feed: AsyncStream<Item>.Continuation

    init(_ connection: ProxyConnection, _ direction: ProxyDirection, from source: AsyncSocket, to target: AsyncSocket) {
        self.connection = connection
        self.direction = direction
        self.source = source
        self.target = target
        (items, feed) = AsyncStream.makeStream()
    }

    /// Carries bytes until there are no more, and says how it ended.
    func run() async -> ProxyConnection.Ending {
        await withTaskGroup(of: ProxyConnection.Ending?.self) { group in
            group.addTask {
                await self.read()
                return nil
            }
            group.addTask { await self.write() }
            for await ending in group {
                guard let ending else { continue }
                group.cancelAll()
                return ending
            }
            return .cut
        }
    }

    private func read() async {
        var tracker = FrameTracker(greeting: direction == .toBroker ? 8 : 0)
        var isSwallowing = false
        while let bytes = try? await source.read(atMost: 65_536) {
            isSwallowing = isSwallowing || connection.mode.swallows(direction)
            if isSwallowing { continue }
            guard let passed = obey(bytes, &tracker) else { return feed.yield(.end(.reset)).ignore() }
            let due = ContinuousClock.now + connection.mode.latency
            underWay.add(passed.count, ordering: .relaxed)
            feed.yield(.bytes(passed, due: due))
            while underWay.load(ordering: .relaxed) > Self.capacity {
                guard (try? await Task.sleep(for: .milliseconds(1))) != nil else { return }
            }
        }
        isSwallowing = isSwallowing || connection.mode.swallows(direction)
        feed.yield(.end(isSwallowing ? .unnoticed : .cut))
    }

    /// The bytes to pass on, changed as was ordered; `nil` if the connection ends here, what is before the cut being passed on.
    private func obey(_ bytes: [UInt8], _ tracker: inout FrameTracker) -> [UInt8]? {
        let order = connection.takeOrder(direction) { order, channels in
            switch order {
            case .reset: tracker.firstMiddle(in: bytes) != nil
            case .injectBadFrame: !channels.isEmpty && tracker.firstBoundary(in: bytes) != nil
            }
        }
        var passed = bytes
        switch order {
        case (.reset, _)?:
            let end = tracker.firstMiddle(in: bytes) ?? 0
            feed.yield(.bytes(Array(bytes[..<end]), due: .now))
            return nil
        case (.injectBadFrame, let channels)?:
            let frames = channels.sorted().flatMap(BadFrame.acknowledgement)
            passed.insert(contentsOf: frames, at: tracker.firstBoundary(in: bytes) ?? 0)
        case nil:
            break
        }
        let before = tracker.deliveringChannels.count
        tracker.pass(bytes)
        if direction == .toClient, tracker.deliveringChannels.count != before {
            connection.note(deliveringChannels: tracker.deliveringChannels)
        }
        return passed
    }

    private func write() async -> ProxyConnection.Ending {
        for await item in items {
            switch item {
            case .end(let ending):
                return ending
            case .bytes(let bytes, let due):
                do {
                    if due > .now { try await Task.sleep(until: due, tolerance: .zero) }
                    try await target.write(Data(bytes))
                } catch {
                    return .cut
                }
                underWay.subtract(bytes.count, ordering: .relaxed)
            }
        }
        return .cut
    }
}

extension AsyncStream.Continuation.YieldResult {
    fileprivate func ignore() {}
}
