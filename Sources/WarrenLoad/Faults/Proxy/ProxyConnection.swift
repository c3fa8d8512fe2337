import FlyingSocks
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
