/// Why TLS failed, as OpenSSL says it: a fault found here, or an alert that the broker sent.
struct TLSFault: Sendable, Hashable {
    /// OpenSSL's number for it (`openssl/sslerr.h`): 1000 and more are the broker's alerts, by their numbers in RFC 8446, 6.
    struct Reason: RawRepresentable, Sendable, Hashable {
        let rawValue: Int

        /// What came is not TLS.
        static let wrongVersionNumber = Reason(rawValue: 267)
        static let unsupportedProtocol = Reason(rawValue: 258)
        static let unexpectedEnd = Reason(rawValue: 294)
        static let handshakeFailureAlert = Reason(rawValue: 1040)
        static let badCertificateAlert = Reason(rawValue: 1042)
        static let unsupportedCertificateAlert = Reason(rawValue: 1043)
        static let certificateRevokedAlert = Reason(rawValue: 1044)
        static let certificateExpiredAlert = Reason(rawValue: 1045)
        static let certificateUnknownAlert = Reason(rawValue: 1046)
        static let unknownAuthorityAlert = Reason(rawValue: 1048)
        static let accessDeniedAlert = Reason(rawValue: 1049)
        static let protocolVersionAlert = Reason(rawValue: 1070)
        static let insufficientSecurityAlert = Reason(rawValue: 1071)
        static let certificateRequiredAlert = Reason(rawValue: 1116)

        /// True for what the broker said, and not found here.
        var isAlert: Bool { rawValue >= 1000 && rawValue < 1256 }
    }

    let reason: Reason
    /// OpenSSL's words for it.
    let text: String
}

extension TLSFault {
    /// What happened and what to do, in words.
    func message(_ endpoint: BrokerEndpoint, _ tls: TLSConfiguration) -> String {
        switch reason {
        case .wrongVersionNumber:
            return "\(endpoint) doesn't speak TLS: use its TLS port, or a URL that begins with amqp://."
        case .unexpectedEnd:
            return """
                \(endpoint) ended the connection in the TLS handshake. Either the port doesn't speak TLS (then the URL begins with amqp://), \
                or the broker's log says why.
                """
        case .protocolVersionAlert, .unsupportedProtocol:
            return """
                \(endpoint) speaks neither TLS 1.2 nor TLS 1.3, and older versions aren't safe: allow one of them in the broker's \
                ssl_options.versions.
                """
        case .handshakeFailureAlert, .insufficientSecurityAlert:
            return """
                \(endpoint) refuses the TLS handshake (\(text)): \
                \(tls.certificateFile == nil ? "it wants a client certificate (name one with certfile and keyfile), or " : "")\
                it has no cipher in common with this client (look at the broker's ssl_options.ciphers).
                """
        default:
            return clientCertificateMessage(endpoint, tls) ?? "The TLS handshake with \(endpoint) failed: \(text)."
        }
    }

    private func clientCertificateMessage(_ endpoint: BrokerEndpoint, _ tls: TLSConfiguration) -> String? {
        guard let file = tls.certificateFile else {
            guard reason == .certificateRequiredAlert || reason == .badCertificateAlert else { return nil }
            return """
                \(endpoint) wants a client certificate, and there is none: name one, and its key, with certfile and keyfile in \
                the broker's URL.
                """
        }
        let refused = "\(endpoint) refuses the client certificate '\(file)'"
        switch reason {
        case .certificateExpiredAlert:
            return "\(refused): it has expired, or isn't valid yet. Renew it, or check the clocks of both machines."
        case .unknownAuthorityAlert:
            return """
                \(refused): the broker doesn't know the CA that signed it. Have it signed by a CA that the broker's \
                ssl_options.cacertfile holds, or add the CA there.
                """
        case .certificateRevokedAlert:
            return "\(refused): it was revoked. Use a new one."
        case .badCertificateAlert, .unsupportedCertificateAlert, .certificateUnknownAlert, .accessDeniedAlert,
            .certificateRequiredAlert:
            return """
                \(refused) (\(text)): check that it is a client's certificate (extended key usage clientAuth) and signed by a CA \
                that the broker trusts; the broker's log says more.
                """
        default: return nil
        }
    }
}
