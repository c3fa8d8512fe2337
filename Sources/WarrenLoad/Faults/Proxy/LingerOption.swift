import FlyingSocks

#if canImport(Glibc)
import Glibc
#elseif canImport(Musl)
import Musl
#else
import Darwin
#endif

/// `SO_LINGER` of zero seconds: closing the socket resets the connection.
struct LingerOption: SocketOption {
    var name: Int32 { SO_LINGER }
    func makeValue(from socketValue: linger) -> Bool { socketValue.l_onoff != 0 }
    func makeSocketValue(from value: Bool) -> linger { linger(l_onoff: value ? 1 : 0, l_linger: 0) }
}

extension AsyncSocket {
    /// Closes in a way that the other side gets an RST instead of a FIN, and what it hasn't read yet is thrown away.
    func reset() {
        try? socket.setValue(true, for: LingerOption())
        try? close()
    }
}
