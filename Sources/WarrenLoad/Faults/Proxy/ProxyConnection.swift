import FlyingSocks
import Foundation
import Synchronization

/// One connection through a ``FaultProxy``.
final class ProxyConnection: Sendable {
    /// A disturbance to make at the next suitable byte.
    enum Disturbance: Sendable {
        case reset(ProxyDirection)
        case injectBadFrame
    }

    /// The end of a connection.
    enum Termination: Sendable {
        case cut
        case reset
        /// One side closed, and the other isn't informed.
        case silent
    }

    private struct State: Sendable {
        var disturbance: Disturbance?
        var deliveringChannels: Set<UInt16> = []
        /// The number of bytes that may still pass; `nil` if any number may.
        var bytesToCut: Int?
    }

    private let client: AsyncSocket
    private let proxy: FaultProxy
    private let state = Mutex(State())
    private let terminations: AsyncStream<Termination>
    private let terminator: AsyncStream<Termination>.Continuation

    init(_ client: AsyncSocket, _ proxy: FaultProxy, cutAfter byteCount: Int? = nil) {
        self.client = client
        self.proxy = proxy
        state.withLock { $0.bytesToCut = byteCount }
        (terminations, terminator) = AsyncStream.makeStream(bufferingPolicy: .bufferingOldest(1))
    }

    func disturb(_ disturbance: Disturbance) { state.withLock { $0.disturbance = disturbance } }
    func end(_ termination: Termination) { terminator.yield(termination) }

    var mode: ProxyMode { proxy.mode }

    /// Forwards bytes until either side or the proxy ends the connection.
    func run() async {
        if proxy.mode == .refuse { return client.reset() }
        if proxy.mode == .blackHole { return await discardAll() }
        guard let broker = try? await Loopback.connect(to: proxy.brokerPort) else { return client.reset() }
        let isReset = await withTaskGroup(of: Termination.self) { group in
            group.addTask { await ProxyPump(self, .toBroker, from: self.client, to: broker).run() }
            group.addTask { await ProxyPump(self, .toClient, from: broker, to: self.client).run() }
            group.addTask { [terminations] in await terminations.first { _ in true } ?? .cut }
            var silent = 0
            for await termination in group {
                if termination == .silent { silent += 1 }
                guard termination != .silent || silent == 2 else { continue }
                group.cancelAll()
                return termination == .reset
            }
            return false
        }
        for socket in [client, broker] {
            if isReset { socket.reset() } else { try? socket.close() }
        }
    }

    /// Takes the disturbance to make now in a direction, with the channels on which messages were delivered.
    func takeDisturbance(
        _ direction: ProxyDirection,
        isPossible: (Disturbance, Set<UInt16>) -> Bool
    ) -> (Disturbance, Set<UInt16>)? {
        state.withLock { state in
            guard let disturbance = state.disturbance, disturbance.concerns(direction),
                isPossible(disturbance, state.deliveringChannels)
            else {
                return nil
            }
            state.disturbance = nil
            return (disturbance, state.deliveringChannels)
        }
    }

    /// Returns how many of the next bytes may pass before the connection is to be reset; `nil` for all.
    func bytesBeforeCut(of count: Int) -> Int? {
        state.withLock { state in
            guard let left = state.bytesToCut else { return nil }
            state.bytesToCut = max(0, left - count)
            return left <= count ? left : nil
        }
    }

    func noteCut() { proxy.noteCut() }

    func note(deliveringChannels: Set<UInt16>) { state.withLock { $0.deliveringChannels = deliveringChannels } }

    private func discardAll() async {
        await withTaskGroup(of: Void.self) { group in
            group.addTask { while (try? await self.client.read(atMost: 65_536)) != nil {} }
            group.addTask { [terminations] in for await _ in terminations { return } }
            await group.next()
            group.cancelAll()
        }
        try? client.close()
    }
}

extension ProxyConnection.Disturbance {
    fileprivate func concerns(_ direction: ProxyDirection) -> Bool {
        switch self {
        case .reset(let wanted): wanted == direction
        case .injectBadFrame: direction == .toBroker
        }
    }
}

/// Forwards the bytes of one direction of a connection.
private final class ProxyPump: Sendable {
    private enum Item: Sendable {
        case bytes([UInt8], due: ContinuousClock.Instant)
        case end(ProxyConnection.Termination)
    }

    /// The largest number of bytes in flight; a faster sender has to wait.
    private static let capacity = 1 << 20

    private let connection: ProxyConnection
    private let direction: ProxyDirection
    private let source: AsyncSocket
    private let target: AsyncSocket
    private let inFlight = Atomic(0)
    private let items: AsyncStream<Item>
    private let feed: AsyncStream<Item>.Continuation

    init(_ connection: ProxyConnection, _ direction: ProxyDirection, from source: AsyncSocket, to target: AsyncSocket) {
        self.connection = connection
        self.direction = direction
        self.source = source
        self.target = target
        (items, feed) = AsyncStream.makeStream()
    }

    /// Forwards bytes until there are no more, and returns how the direction ended.
    func run() async -> ProxyConnection.Termination {
        await withTaskGroup(of: ProxyConnection.Termination?.self) { group in
            group.addTask {
                await self.read()
                return nil
            }
            group.addTask { await self.write() }
            for await termination in group {
                guard let termination else { continue }
                group.cancelAll()
                return termination
            }
            return .cut
        }
    }

    private func read() async {
        var tracker = FrameTracker(greeting: direction == .toBroker ? 8 : 0)
        var isDropping = false
        while let bytes = try? await source.read(atMost: 65_536) {
            isDropping = isDropping || connection.mode.drops(direction)
            if isDropping { continue }
            if let left = connection.bytesBeforeCut(of: bytes.count) {
                feed.yield(.bytes(Array(bytes.prefix(left)), due: .now))
                connection.noteCut()
                return feed.yield(.end(.reset)).ignore()
            }
            guard let passed = disturb(bytes, &tracker) else { return feed.yield(.end(.reset)).ignore() }
            let due = ContinuousClock.now + connection.mode.latency
            inFlight.add(passed.count, ordering: .relaxed)
            feed.yield(.bytes(passed, due: due))
            while inFlight.load(ordering: .relaxed) > Self.capacity {
                guard (try? await Task.sleep(for: .milliseconds(1))) != nil else { return }
            }
        }
        isDropping = isDropping || connection.mode.drops(direction)
        feed.yield(.end(isDropping ? .silent : .cut))
    }

    /// The bytes to forward, disturbed if requested; `nil` if the connection ends here, after the bytes before the cut
    /// have been forwarded.
    private func disturb(_ bytes: [UInt8], _ tracker: inout FrameTracker) -> [UInt8]? {
        let disturbance = connection.takeDisturbance(direction) { disturbance, channels in
            switch disturbance {
            case .reset: tracker.firstMiddle(in: bytes) != nil
            case .injectBadFrame: !channels.isEmpty && tracker.firstBoundary(in: bytes) != nil
            }
        }
        var passed = bytes
        switch disturbance {
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

    private func write() async -> ProxyConnection.Termination {
        for await item in items {
            switch item {
            case .end(let termination):
                return termination
            case .bytes(let bytes, let due):
                do {
                    if due > .now { try await Task.sleep(until: due, tolerance: .zero) }
                    try await target.write(Data(bytes))
                } catch {
                    return .cut
                }
                inFlight.subtract(bytes.count, ordering: .relaxed)
            }
        }
        return .cut
    }
}

extension AsyncStream.Continuation.YieldResult {
    fileprivate func ignore() {}
}
