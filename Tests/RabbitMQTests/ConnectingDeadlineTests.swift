import AMQP
import RabbitMQ
import Testing

#if canImport(Darwin)
import Darwin
#else
import Glibc
#endif

@Suite(.timeLimit(.minutes(1))) struct ConnectingDeadlineTests {
    @Test func `a broker that never answers holds no publish longer than its own deadline`() async throws {
        let server = MuteServer()
        let client = RabbitMQClient(url: "amqp://127.0.0.1:\(server.port)?connection_timeout=4000")
        let start = ContinuousClock.now
        // The patient one connects first; the hasty one must not wait with it.
        let ended = await withTaskGroup { group in
            for seconds in [3, 0.2] {
                group.addTask { (seconds, await outcome(of: client, within: .seconds(seconds))) }
            }
            return await group.reduce(into: []) { $0.append($1) }
        }
        #expect(ended.map(\.0) == [0.2, 3])
        #expect(ended.map(\.1?.code) == [.deadlineExceeded, .deadlineExceeded])
        #expect(ended[0].1?.outcomeIsKnown == true)
        #expect(ContinuousClock.now - start >= .seconds(3))
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

/// A server on loopback that takes connections and never says a word.
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
