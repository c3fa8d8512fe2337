import AMQP
import Testing

@testable import RabbitMQ

#if canImport(Darwin)
import Darwin
#else
import Glibc
#endif

/// Hosts with several addresses.
@Suite(.timeLimit(.minutes(1))) struct HostAddressTests {
    private func address(_ host: String, _ port: UInt16) throws -> HostAddress {
        try #require(HostAddress.all(of: BrokerEndpoint(host: host, port: port)).first)
    }

    private func configuration(_ addresses: [HostAddress], limit: Duration) -> ConnectionConfiguration {
        ConnectionConfiguration(
            endpoint: BrokerEndpoint(host: "broker.example", port: 5672),
            virtualHost: "/",
            credentials: .plain(user: "guest", password: "guest"),
            heartbeat: .zero,
            connectTimeout: limit,
            resolve: { _ in addresses },
            name: "test"
        )
    }

    @Test func `An address that swallows everything leaves time for the next one`() throws {
        let broker = ScriptedBroker()
        let hole = try BlackHole()
        let addresses = [try address("127.0.0.1", hole.port), try address("127.0.0.1", broker.port)]
        let socket = try BrokerSocket.connect(configuration(addresses, limit: .seconds(2)))
        #expect(socket.descriptor >= 0)
        withExtendedLifetime(hole) {}
    }

    @Test func `An address that refuses leaves its time to the others`() throws {
        var shares: [Duration] = []
        let addresses = [try address("127.0.0.1", 1), try address("::1", 1), try address("127.0.0.2", 1)]
        let none: Int? = HostAddress.tryEach(addresses, within: .seconds(9)) { _, share in
            shares.append(share)
            return nil
        }
        #expect(none == nil)
        #expect(shares.count == 3)
        #expect(shares[0] <= .seconds(3))
        #expect(shares[1] > .seconds(3) && shares[2] > .seconds(6))
    }

    @Test func `If no address answers, the error names each with its reason`() throws {
        let addresses = [try address("127.0.0.1", 1), try address("127.0.0.2", 1)]
        let error = #expect(throws: AMQPError.self) {
            _ = try BrokerSocket.connect(configuration(addresses, limit: .seconds(2))).descriptor
        }
        #expect(error?.code == .connectionFailed)
        #expect(error?.message.contains("127.0.0.1: ") == true)
        #expect(error?.message.contains("127.0.0.2: ") == true)
        #expect(error?.message.contains("broker.example:5672") == true)
    }

    @Test func `A name has its addresses once each, and an unknown name has none`() {
        let addresses = HostAddress.all(of: BrokerEndpoint(host: "localhost", port: 5672)).map(\.text)
        #expect(!addresses.isEmpty)
        #expect(Set(addresses).count == addresses.count)
        #expect(HostAddress.all(of: BrokerEndpoint(host: "no-such-host.invalid", port: 5672)).isEmpty)
    }
}

/// A port that answers no attempt to connect: its queue is full, so the system drops what comes.
private final class BlackHole {
    let port: UInt16
    private let descriptor = listeningSocket(backlog: 0)
    private var clients: [Int32] = []

    init() throws {
        port = localPort(of: descriptor)
        let address = try #require(HostAddress.all(of: BrokerEndpoint(host: "127.0.0.1", port: port)).first)
        while case .success(let client) = address.connect(within: .milliseconds(200)) { clients.append(client) }
    }

    deinit {
        for client in clients { close(client) }
        close(descriptor)
    }
}
