import FlyingSocks
import Synchronization

/// A TCP proxy on loopback between clients and one broker, which misbehaves on request.
final class FaultProxy: Sendable {
    /// The port to which clients connect.
    let port: UInt16
    let brokerPort: UInt16
    private let listener: AsyncSocket
    private let state = Mutex(State())

    private struct State: Sendable {
        var mode = ProxyMode.pass
        /// The number of bytes after which the next connection is reset; `nil` for none.
        var nextCut: Int?
        var cutCount = 0
        var connections: [ObjectIdentifier: ProxyConnection] = [:]
    }

    /// Runs `body` beside a proxy to a broker's port; then all its connections end.
    static func run<Value: Sendable>(
        toPort brokerPort: UInt16,
        _ body: (FaultProxy) async throws -> Value
    ) async throws -> Value {
        let proxy = try await FaultProxy(brokerPort)
        return try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask { try await proxy.serve() }
            let result: Result<Value, any Error>
            do { result = .success(try await body(proxy)) } catch { result = .failure(error) }
            group.cancelAll()
            while await group.nextResult() != nil {}
            return try result.get()
        }
    }

    private init(_ brokerPort: UInt16) async throws {
        self.brokerPort = brokerPort
        let (socket, port) = try Loopback.listen()
        self.port = port
        listener = try await AsyncSocket(socket: socket, pool: .client)
    }

    // MARK: Control

    var mode: ProxyMode { state.withLock { $0.mode } }

    /// Changes what happens to bytes from now on.
    ///
    /// A connection whose bytes have been dropped in a direction continues to drop them, since the rest would make no
    /// sense.
    func set(_ mode: ProxyMode) {
        state.withLock { $0.mode = mode }
        if mode == .refuse { resetAll() }
    }

    /// Resets the next connection after it has carried this number of bytes, of both directions together.
    func cutNext(after byteCount: Int) { state.withLock { $0.nextCut = byteCount } }

    /// The number of connections that were reset because of ``cutNext(after:)``.
    var cutCount: Int { state.withLock(\.cutCount) }

    func noteCut() { state.withLock { $0.cutCount += 1 } }

    /// Closes all connections immediately, with a FIN to both sides.
    func cutAll() { for connection in connections { connection.end(.cut) } }

    /// Resets all connections immediately, with an RST to both sides.
    func resetAll() { for connection in connections { connection.end(.reset) } }

    /// Resets each connection in the middle of the next frame in this direction.
    func resetInMidFrame(_ direction: ProxyDirection) {
        for connection in connections { connection.disturb(.reset(direction)) }
    }

    /// Makes the broker close the channels on which it delivers, by injecting a frame that the client never sent.
    func injectChannelErrors() { for connection in connections { connection.disturb(.injectBadFrame) } }

    private var connections: [ProxyConnection] { state.withLock { Array($0.connections.values) } }

    // MARK: Serving

    private func serve() async throws {
        defer { try? listener.close() }
        try await withThrowingDiscardingTaskGroup { group in
            while true {
                let client = try await listener.accept()
                let cut = state.withLock { $0.nextCut.take() }
                let connection = ProxyConnection(client, self, cutAfter: cut)
                group.addTask {
                    self.state.withLock { $0.connections[ObjectIdentifier(connection)] = connection }
                    await connection.run()
                    self.state.withLock { _ = $0.connections.removeValue(forKey: ObjectIdentifier(connection)) }
                }
            }
        }
    }
}

/// The way in which a ``FaultProxy`` handles the bytes that it receives.
enum ProxyMode: Sendable, Hashable {
    /// Forwards them.
    case pass
    /// Forwards them after this delay, in each direction.
    case latency(Duration)
    /// Drops them; connections stay open, and new ones are accepted.
    case blackHole
    /// Drops those of one direction.
    case drop(ProxyDirection)
    /// Resets each connection, new ones included.
    case refuse

    func drops(_ direction: ProxyDirection) -> Bool {
        switch self {
        case .blackHole: true
        case .drop(let dropped): dropped == direction
        case .pass, .latency, .refuse: false
        }
    }

    var latency: Duration {
        if case .latency(let latency) = self { latency } else { .zero }
    }
}

/// The direction of bytes.
enum ProxyDirection: Sendable, Hashable {
    case toBroker
    case toClient
}
