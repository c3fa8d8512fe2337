import AMQP
import CRabbitMQ

#if canImport(Darwin)
import Darwin
#else
import Glibc
#endif

/// A check of the broker's certificate by OpenSSL during the handshake, which keeps the reason for a refusal.
///
/// librabbitmq checks the certificate only after the handshake, reports only that it was refused, and doesn't
/// understand IP addresses before 0.14. The settings made here only make the check stricter: librabbitmq's own check
/// follows, except for a host that is an IP address and that OpenSSL has already compared.
@safe struct CertificateCheck: ~Copyable {
    private let socket: OpaquePointer
    /// Allocated separately, since OpenSSL keeps the address from `init` to ``end()``.
    private let fault: UnsafeMutablePointer<warren_certificate_fault>
    /// True if OpenSSL compares the certificate with the host, so that librabbitmq needn't.
    let isHostChecked: Bool

    /// Installs the check on a socket that isn't open yet.
    init(_ socket: OpaquePointer, _ tls: TLSConfiguration, host: String) {
        unsafe self.socket = unsafe socket
        unsafe fault = .allocate(capacity: 1)
        unsafe fault.initialize(to: warren_certificate_fault())
        if tls.verification.checksHost {
            isHostChecked = unsafe warren_begin_check(socket, host, fault) == 2
            // librabbitmq 0.11 treats an address as a name and refuses every certificate.
            if isHostChecked && host.isIPAddress { unsafe amqp_ssl_socket_set_verify_hostname(socket, 0) }
        } else {
            isHostChecked = false
            if tls.verification.checksAuthority { _ = unsafe warren_begin_check(socket, nil, fault) }
        }
    }

    /// Removes the check from the socket, and returns why it refused the certificate; `nil` if it didn't.
    consuming func end() -> CertificateFault? {
        unsafe warren_end_check(socket)
        guard unsafe fault.pointee.reason != 0 else { return nil }
        return unsafe CertificateFault(copying: fault.pointee)
    }

    deinit {
        unsafe fault.deallocate()
    }
}

/// A handshake by OpenSSL inside librabbitmq's socket: finds the TLS connection, and chooses the name that is sent to
/// the broker (SNI).
///
/// librabbitmq takes one text for three purposes: the address to connect to, the name to send, and the name to compare
/// with the certificate. To choose one of a host's addresses, the other two must come from here: OpenSSL compares the
/// certificate with the host in ``CertificateCheck``, and this replaces the name.
@safe struct TLSHandshake: ~Copyable {
    private let socket: OpaquePointer
    /// Allocated separately, since OpenSSL keeps the address from `init` to ``end()``.
    private let handshake: UnsafeMutablePointer<warren_handshake>
    private var name: UnsafeMutablePointer<CChar>?

    /// Observes the handshake of a socket that isn't open yet; `nil` if that can't be done.
    init?(_ socket: OpaquePointer) {
        let handshake = UnsafeMutablePointer<warren_handshake>.allocate(capacity: 1)
        unsafe handshake.initialize(to: warren_handshake())
        guard unsafe warren_begin_handshake(socket, handshake) != 0 else {
            unsafe handshake.deallocate()
            return nil
        }
        unsafe self.socket = unsafe socket
        unsafe self.handshake = unsafe handshake
    }

    /// Sends the host's name to whatever address the socket is opened.
    ///
    /// Returns false if that can't be done, or if then nothing would compare the certificate with the host.
    mutating func send(name host: String, _ tls: TLSConfiguration, _ check: borrowing CertificateCheck) -> Bool {
        guard !tls.verification.checksHost || check.isHostChecked, let name = unsafe strdup(host) else { return false }
        unsafe self.name = unsafe name
        unsafe handshake.pointee.server_name = unsafe UnsafePointer(name)
        unsafe amqp_ssl_socket_set_verify_hostname(socket, 0)
        return true
    }

    /// Stops observing, and returns the TLS connection of the last handshake; `nil` if it can't be used.
    consuming func end() -> warren_tls_stream? {
        unsafe warren_end_handshake(socket)
        var stream = unsafe warren_tls_stream()
        guard unsafe warren_begin_stream(handshake.pointee.connection, &stream) != 0 else { return nil }
        return unsafe stream
    }

    deinit {
        unsafe free(name)
        unsafe handshake.deallocate()
    }
}

extension CertificateFault {
    /// A copy of the fault that C code recorded.
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

    /// The text of a C array of characters, which Swift imports as a tuple, up to its terminating zero.
    private static func text<Characters>(_ characters: Characters) -> String {
        unsafe withUnsafeBytes(of: characters) { bytes in
            unsafe String(decoding: bytes.prefix { $0 != 0 }, as: UTF8.self)
        }
    }
}

extension TLSFault {
    /// The last failure on this thread; `nil` if there was none, or OpenSSL's errors aren't available.
    static var last: TLSFault? {
        let number = warren_last_tls_fault()
        guard number != 0 else { return nil }
        // The reason is in the low 12 bits, all that OpenSSL 1.1 has; the reasons for TLS failures are all below 2^12.
        return TLSFault(
            reason: Reason(rawValue: Int(number & 0xFFF)),
            text: unsafe warren_tls_fault_text(number).map { unsafe String(cString: $0) } ?? "OpenSSL's error \(number)"
        )
    }

    /// Clears this thread's failures.
    static func clear() { warren_forget_tls_faults() }
}

extension String {
    /// True for an IPv4 or IPv6 address in the form that is compared with a certificate's.
    var isIPAddress: Bool {
        var memory = in6_addr()
        return [AF_INET, AF_INET6].contains { family in unsafe inet_pton(family, self, &memory) == 1 }
    }
}
