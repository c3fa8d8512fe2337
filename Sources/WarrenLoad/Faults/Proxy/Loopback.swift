import FlyingSocks

#if canImport(Glibc)
import Glibc
#elseif canImport(Musl)
import Musl
#else
import Darwin
#endif

/// Sockets on this machine.
enum Loopback {
    /// Listens on a free port.
    static func listen() throws -> (socket: Socket, port: UInt16) {
        let socket = try Socket(domain: Int32(sockaddr_in.family), type: .stream)
        try socket.setValue(true, for: .localAddressReuse)
        try socket.bind(to: try address(0))
        try socket.listen()
        guard case .ip4(_, let port) = try socket.sockname() else { throw LoadError("The proxy has no address.") }
        return (socket, port)
    }

    /// Connects to a port.
    static func connect(to port: UInt16) async throws -> AsyncSocket {
        try await AsyncSocket.connected(to: try address(port))
    }

    /// Returns whether something accepts connections on a port.
    static func isListening(at port: UInt16) async -> Bool {
        guard let socket = try? await connect(to: port) else { return false }
        try? socket.close()
        return true
    }

    private static func address(_ port: UInt16) throws -> sockaddr_in { try .inet(ip4: "127.0.0.1", port: port) }
}

/// `SO_LINGER` of zero seconds: closing the socket resets the connection.
struct LingerOption: SocketOption {
    var name: Int32 { SO_LINGER }
    func makeValue(from socketValue: linger) -> Bool { socketValue.l_onoff != 0 }
    func makeSocketValue(from value: Bool) -> linger { linger(l_onoff: value ? 1 : 0, l_linger: 0) }
}

extension AsyncSocket {
    /// Closes the socket so that the other side receives an RST instead of a FIN and loses what it hasn't read.
    func reset() {
        try? socket.setValue(true, for: LingerOption())
        try? close()
    }
}
