import AMQP
import RabbitMQ
import Testing

#if canImport(Darwin)
import Darwin
#else
import Glibc
#endif

@Suite(.timeLimit(.minutes(1))) struct ConnectingDeadlineTests {
    @Test func `A broker that never answers delays a publish no longer than its own deadline`() async throws {
        let server = MuteServer()
        let client = try RabbitMQClient(url: "amqp://127.0.0.1:\(server.port)?connection_timeout=3600000")
        // The first publish begins to connect, which takes longer than the test may; the second finds that under way.
        for _ in 1...2 {
            let error = await outcome(of: client, within: .milliseconds(200))
            #expect(error?.code == .deadlineExceeded)
            #expect(error?.outcomeIsKnown == true)
        }
        withExtendedLifetime(server) {}
    }

    private func outcome(of client: RabbitMQClient, within timeout: Duration) async -> AMQPError? {
        do throws(AMQPError) {
            try await client.publish(Message(body: [1]), to: .queue("letters"), timeout: timeout)
            return nil
        } catch {
            return error
        }
    }
}

/// A server on loopback that accepts connections and never sends anything.
private final class MuteServer {
    let port: UInt16
    private let descriptor: Int32

    init() {
        #if canImport(Darwin)
        descriptor = socket(AF_INET, SOCK_STREAM, 0)
        #else
        descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        #endif
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_addr.s_addr = UInt32(0x7F00_0001).bigEndian
        var length = socklen_t(MemoryLayout<sockaddr_in>.size)
        let descriptor = descriptor
        unsafe withUnsafeMutablePointer(to: &address) { address in
            unsafe address.withMemoryRebound(to: sockaddr.self, capacity: 1) { address in
                _ = unsafe bind(descriptor, address, length)
                _ = listen(descriptor, 8)
                _ = unsafe getsockname(descriptor, address, &length)
            }
        }
        port = UInt16(bigEndian: address.sin_port)
    }

    deinit { close(descriptor) }
}
