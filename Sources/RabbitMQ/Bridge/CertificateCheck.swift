import AMQP
import CRabbitMQ

#if canImport(Darwin)
import Darwin
#else
import Glibc
#endif

/// Has OpenSSL check the broker's certificate inside of the handshake, and keeps the reason of a refusal.
///
/// librabbitmq looks at the certificate only after the handshake, says no more than that it was refused, and knows no IP addresses before
/// 0.14. What is set here only makes the check stricter: librabbitmq's own comes after it, but for a host that is an IP address and that
/// OpenSSL has compared.
@safe struct CertificateCheck: ~Copyable {
    private let socket: OpaquePointer
    /// Memory of its own, as OpenSSL keeps the address from `init` to ``end()``.
    private let fault: UnsafeMutablePointer<warren_certificate_fault>

    /// Sets the check on a socket that isn't open yet.
    init(_ socket: OpaquePointer, _ tls: TLSConfiguration, host: String) {
        unsafe self.socket = unsafe socket
        unsafe fault = .allocate(capacity: 1)
        unsafe fault.initialize(to: warren_certificate_fault())
        switch tls.verification {
        case .none: break
        case .authorityOnly: _ = unsafe warren_begin_check(socket, nil, fault)
        case .full:
            let isHostChecked = unsafe warren_begin_check(socket, host, fault) == 2
            // librabbitmq 0.11 takes an address for a name and refuses every certificate.
            if isHostChecked && host.isIPAddress { unsafe amqp_ssl_socket_set_verify_hostname(socket, 0) }
        }
    }

    /// Takes the check off the socket again, and says why it refused the certificate.
    consuming func end() -> CertificateFault? {
        unsafe warren_end_check(socket)
        guard unsafe fault.pointee.reason != 0 else { return nil }
        return unsafe CertificateFault(copying: fault.pointee)
    }

    deinit {
        unsafe fault.deallocate()
    }
}

extension CertificateFault {
    /// A copy of what was fault.
    fileprivate init(copying fault: warren_certificate_fault) {
        self.init(
            reason: Reason(rawValue: fault.reason),
            text: Self.text(fault.text),
            depth: Int(fault.depth),
            subject: Self.text(fault.subject),
            issuer: Self.text(fault.issuer),
            validFrom: Self.text(fault.valid_from),
            validUntil: Self.text(fault.valid_until),
            issuerNameIsTrusted: fault.issuer_is_known != 0
        )
    }

    /// A C array of characters, which Swift has as a tuple, up to its zero.
    private static func text<Characters>(_ characters: Characters) -> String {
        unsafe withUnsafeBytes(of: characters) { bytes in
            unsafe String(decoding: bytes.prefix { $0 != 0 }, as: UTF8.self)
        }
    }
}

extension TLSFault {
    /// What failed last on this thread; `nil` if nothing did, or OpenSSL can't be asked.
    static var last: TLSFault? {
        let number = warren_last_tls_fault()
        guard number != 0 else { return nil }
        // The reason is in the low bits; those of TLS are all below 2^12, which is how many OpenSSL 1.1 has.
        return TLSFault(
            reason: Reason(rawValue: Int(number & 0xFFF)),
            text: unsafe warren_tls_fault_text(number).map { unsafe String(cString: $0) } ?? "OpenSSL's error \(number)"
        )
    }

    /// Forgets what failed on this thread.
    static func clear() { warren_forget_tls_faults() }
}

extension String {
    /// True for an IPv4 or IPv6 address, in the form that certificates are compared with.
    var isIPAddress: Bool {
        var memory = in6_addr()
        return [AF_INET, AF_INET6].contains { family in unsafe inet_pton(family, self, &memory) == 1 }
    }
}
