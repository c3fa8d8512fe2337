import AMQP

#if canImport(Darwin)
import Darwin
#else
import Glibc
#endif

/// One IP address of a host, with the port.
///
/// A host can have several: IPv6 and IPv4, or one for each node behind a name. librabbitmq gives up at the first that
/// doesn't answer within the time limit, so this tries them itself.
struct HostAddress: Sendable {
    /// The address as numbers, such as `::1`.
    let text: String
    private let storage: sockaddr_storage
    private let length: socklen_t

    /// The addresses of an endpoint in the system's order of preference; empty if its name can't be resolved.
    ///
    /// Blocks while the system resolves the name.
    static func all(of endpoint: BrokerEndpoint) -> [HostAddress] {
        var hints = unsafe addrinfo()
        unsafe hints.ai_family = AF_UNSPEC
        #if canImport(Darwin)
        unsafe hints.ai_socktype = SOCK_STREAM
        unsafe hints.ai_protocol = IPPROTO_TCP
        #else
        unsafe hints.ai_socktype = Int32(SOCK_STREAM.rawValue)
        unsafe hints.ai_protocol = Int32(IPPROTO_TCP)
        #endif
        var list: UnsafeMutablePointer<addrinfo>?
        guard unsafe getaddrinfo(endpoint.host, "\(endpoint.port)", &hints, &list) == 0 else { return [] }
        defer { unsafe freeaddrinfo(list) }
        var addresses: [HostAddress] = []
        var next = unsafe list
        while let entry = unsafe next {
            if let address = unsafe HostAddress(copying: entry.pointee),
                !addresses.contains(where: { $0.text == address.text })
            {
                addresses.append(address)
            }
            unsafe next = entry.pointee.ai_next
        }
        return addresses
    }

    private init?(copying entry: addrinfo) {
        guard let source = unsafe entry.ai_addr, unsafe Int(entry.ai_addrlen) <= MemoryLayout<sockaddr_storage>.size
        else { return nil }
        length = unsafe entry.ai_addrlen
        var copy = sockaddr_storage()
        unsafe withUnsafeMutableBytes(of: &copy) {
            unsafe $0.copyMemory(from: UnsafeRawBufferPointer(start: source, count: Int(entry.ai_addrlen)))
        }
        storage = copy
        var name = [CChar](repeating: 0, count: Int(NI_MAXHOST))
        guard unsafe getnameinfo(source, entry.ai_addrlen, &name, socklen_t(name.count), nil, 0, NI_NUMERICHOST) == 0
        else { return nil }
        text = String(decoding: name.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
    }

    /// Calls `attempt` with each address and its share of the time, until one attempt succeeds.
    ///
    /// The share is the time that is left, divided by the number of addresses that are left. So an address that
    /// swallows everything leaves time for the others, and one that refuses at once leaves them its own.
    static func tryEach<Value: ~Copyable>(
        _ addresses: [HostAddress],
        within limit: Duration,
        _ attempt: (HostAddress, Duration) -> Value?
    ) -> Value? {
        let deadline = ContinuousClock.now + limit
        for (index, address) in addresses.enumerated() {
            let left = max(.milliseconds(1), ContinuousClock.now.duration(to: deadline))
            if let value = attempt(address, left / (addresses.count - index)) { return value }
        }
        return nil
    }

    /// Opens a TCP connection.
    ///
    /// - Parameter limit: The longest time to wait.
    /// - Returns: A socket that doesn't block, with the options that librabbitmq sets on its own, or the number of the
    ///   system's error.
    func connect(within limit: Duration) -> Result<Int32, SystemError> {
        #if canImport(Darwin)
        let descriptor = socket(Int32(storage.ss_family), SOCK_STREAM, IPPROTO_TCP)
        #else
        let descriptor = socket(Int32(storage.ss_family), Int32(SOCK_STREAM.rawValue), Int32(IPPROTO_TCP))
        #endif
        guard descriptor >= 0 else { return .failure(SystemError(number: errno)) }
        let error = prepare(descriptor) ?? connect(descriptor, within: limit)
        guard let error else { return .success(descriptor) }
        close(descriptor)
        return .failure(SystemError(number: error))
    }

    private func prepare(_ descriptor: Int32) -> Int32? {
        guard fcntl(descriptor, F_SETFD, FD_CLOEXEC) != -1,
            fcntl(descriptor, F_SETFL, fcntl(descriptor, F_GETFL) | O_NONBLOCK) != -1
        else { return errno }
        var options = [(Int32(IPPROTO_TCP), TCP_NODELAY), (SOL_SOCKET, SO_KEEPALIVE)]
        #if canImport(Darwin)
        options.append((SOL_SOCKET, SO_NOSIGPIPE))
        #endif
        for (level, option) in options {
            var one: Int32 = 1
            guard unsafe setsockopt(descriptor, level, option, &one, socklen_t(MemoryLayout<Int32>.size)) == 0 else {
                return errno
            }
        }
        return nil
    }

    private func connect(_ descriptor: Int32, within limit: Duration) -> Int32? {
        let deadline = ContinuousClock.now + limit
        var storage = storage
        let length = length
        let status = unsafe withUnsafePointer(to: &storage) { storage in
            unsafe storage.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                unsafe sysConnect(descriptor, $0, length)
            }
        }
        if status == 0 { return nil }
        guard errno == EINPROGRESS || errno == EINTR else { return errno }
        while true {
            let left = ContinuousClock.now.duration(to: deadline)
            guard left > .zero else { return ETIMEDOUT }
            var entry = pollfd(fd: descriptor, events: Int16(POLLOUT), revents: 0)
            let count = unsafe poll(&entry, 1, left.wholeMillisecondsRoundedUp)
            if count == 0 || count < 0 && errno == EINTR { continue }
            guard count > 0 else { return errno }
            var error: Int32 = 0
            var size = socklen_t(MemoryLayout<Int32>.size)
            guard unsafe getsockopt(descriptor, SOL_SOCKET, SO_ERROR, &error, &size) == 0 else { return errno }
            return error == 0 ? nil : error
        }
    }
}

/// The system's `connect`, which the method of the same name hides.
private func sysConnect(_ descriptor: Int32, _ address: UnsafePointer<sockaddr>, _ length: socklen_t) -> Int32 {
    unsafe connect(descriptor, address, length)
}

/// An error of the operating system.
struct SystemError: Error, CustomStringConvertible {
    let number: Int32

    /// The system's text, such as "Connection refused".
    var description: String { unsafe String(cString: strerror(number)) }
}
