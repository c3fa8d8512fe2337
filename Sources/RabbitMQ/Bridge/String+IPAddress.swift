#if canImport(Darwin)
import Darwin
#else
import Glibc
#endif

extension String {
    /// True for an IPv4 or IPv6 address, in the form that certificates are compared with.
    var isIPAddress: Bool {
        var memory = in6_addr()
        return [AF_INET, AF_INET6].contains { family in unsafe inet_pton(family, self, &memory) == 1 }
    }
}
