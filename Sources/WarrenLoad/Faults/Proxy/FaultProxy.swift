import FlyingSocks
import Synchronization

/// A TCP proxy on loopback that can be told to misbehave, between clients and one broker.
final class FaultProxy: Sendable {
    /// Where clients connect to.
    let port: UInt16
    let brokerPort: UInt16
    private let listener: AsyncSocket
    private let state = Mutex(State())

    private struct State: Sendable {
        var mode = ProxyMode.pass
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

    // MARK: What it is told

    var mode: ProxyMode { state.withLock { $0.mode } }

    /// Changes what happens to bytes from now on.
    ///
    /// A connection that has had bytes swallowed goes on swallowing that side's, since the rest would make no sense.
    func set(_ mode: ProxyMode) {
        state.withLock { $0.mode = mode }
        if mode == .refuse { resetAll() }
    }

    /// Ends all connections at once, with a FIN to both sides.
    func cutAll() { for connection in connections { connection.end(.cut) } }

    /// Ends all connections at once, with an RST to both sides.
    func resetAll() { for connection in connections { connection.end(.reset) } }

    /// Resets each connection in the middle of the next frame that goes this way.
    func resetInMidFrame(_ direction: ProxyDirection) {
        for connection in connections { connection.order(.reset(direction)) }
    }

    /// Makes the broker close the channels on which it delivers, by a frame that the client never sent.
    func injectChannelErrors() { for connection in connections { connection.order(.injectBadFrame) } }

    private var connections: [ProxyConnection] { state.withLock { Array($0.connections.values) } }

    // MARK: Serving

    private func serve() async throws {
        defer { try? listener.close() }
        try await withThrowingDiscardingTaskGroup { group in
            while true {
                let client = try await listener.accept()
                let connection = ProxyConnection(client, self)
                group.addTask {
                    self.state.withLock { $0.connections[ObjectIdentifier(connection)] = connection }
                    await connection.run()
                    self.state.withLock { _ = $0.connections.removeValue(forKey: ObjectIdentifier(connection)) }
                }
            }
        }
    }
}

/// What a ``FaultProxy`` does with the bytes that come to it.
enum ProxyMode: Sendable, Hashable {
    /// Passes them on.
    case pass
    /// Passes them on so much later, each way.
    case latency(Duration)
    /// Swallows them, and lets connections stand and new ones come.
    case blackHole
    /// Swallows what one side sends.
    case swallow(ProxyDirection)
    /// Resets each connection, and each new one.
    case refuse

    func swallows(_ direction: ProxyDirection) -> Bool {
        switch self {
        case .blackHole: true
        case .swallow(let swallowed): swallowed == direction
        case .pass, .latency, .refuse: false
        }
    }

    var latency: Duration {
        if case .latency(let latency) = self { latency } else { .zero }
    }
}

/// Which way bytes go.
enum ProxyDirection: Sendable, Hashable {
    case toBroker
    case toClient
}
