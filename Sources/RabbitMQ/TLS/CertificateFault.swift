/// Why a broker's certificate was refused here.
struct CertificateFault: Sendable, Hashable {
    /// OpenSSL's number for it (`openssl/x509_vfy.h`, whose numbers never change).
    struct Reason: RawRepresentable, Sendable, Hashable {
        let rawValue: Int32

        static let noIssuer = Reason(rawValue: 2)
        static let wrongSignature = Reason(rawValue: 7)
        static let notYetValid = Reason(rawValue: 9)
        static let expired = Reason(rawValue: 10)
        static let selfSigned = Reason(rawValue: 18)
        static let selfSignedAuthority = Reason(rawValue: 19)
        static let noLocalIssuer = Reason(rawValue: 20)
        static let unverifiable = Reason(rawValue: 21)
        static let invalidPurpose = Reason(rawValue: 26)
        static let otherAuthorityKey = Reason(rawValue: 30)
        static let wrongHost = Reason(rawValue: 62)
        static let wrongAddress = Reason(rawValue: 64)
    }

    let reason: Reason
    /// OpenSSL's words for it.
    var text = ""
    /// How far up the chain the certificate is: 0 is the broker's own.
    var depth = 0
    /// Whose certificate it is, as `/CN=name`.
    var subject = ""
    /// Who signed it.
    var issuer = ""
    /// From when it is valid.
    var validFrom: String?
    /// Until when it is valid.
    var validUntil: String?
    /// True if the CA file holds a CA that has the issuer's name.
    var issuerNameIsTrusted = false
}

extension CertificateFault {
    /// What happened and what to do, in words.
    func message(_ endpoint: BrokerEndpoint, authorityFile: String) -> String {
        let own = "The certificate of \(endpoint) (\(subject))"
        let it = depth == 0 ? own : "The CA certificate '\(subject)', on which that of \(endpoint) rests,"
        switch reason {
        case .expired:
            let renewal = depth == 0 ? "renew it on the broker" : "renew the CA, also in the CA file '\(authorityFile)'"
            return "\(it) expired\(validUntil.map { " on \($0)" } ?? ""): \(renewal), or check this machine's clock."
        case .notYetValid:
            return
                "\(it) is not valid yet\(validFrom.map { ", only from \($0)" } ?? ""): check the clocks of both machines."
        case .selfSigned:
            return """
                \(own) is self-signed: have it signed by a CA that the CA file '\(authorityFile)' holds, or, if you trust this very \
                certificate, add it to the file.
                """
        case .wrongHost, .wrongAddress:
            return wrongHost(endpoint)
        case .invalidPurpose:
            return
                "\(it) may not be used by a server: it needs the extended key usage serverAuth, and its CA must be one."
        case .noIssuer, .noLocalIssuer, .unverifiable, .selfSignedAuthority, .wrongSignature, .otherAuthorityKey:
            return unknownAuthority(endpoint, authorityFile)
        default:
            return "\(it) was refused: \(text) (OpenSSL's reason \(reason.rawValue))."
        }
    }

    private func unknownAuthority(_ endpoint: BrokerEndpoint, _ authorityFile: String) -> String {
        if issuerNameIsTrusted {
            return """
                The certificate of \(endpoint) was not signed by the CA '\(issuer)' that the CA file '\(authorityFile)' holds, but by \
                another of the same name: the CA was replaced, or somebody else uses its name. Put today's CA into the file, or have \
                the broker's certificate signed again by the file's CA.
                """
        }
        return """
            The certificate of \(endpoint) isn't signed by a CA of the CA file '\(authorityFile)', but by '\(issuer)': if that CA is \
            yours, add it to the file; if the CA was changed, have the broker's certificate signed again.
            """
    }

    private func wrongHost(_ endpoint: BrokerEndpoint) -> String {
        if reason == .wrongAddress {
            return """
                The certificate of \(endpoint) (\(subject)) doesn't hold the IP address \(endpoint.host): connect by a name that it \
                holds, or add the address to its subjectAltName.
                """
        }
        return """
            The certificate of \(endpoint) (\(subject)) isn't for the host '\(endpoint.host)': connect by a name that it holds, or \
            add the name to its subjectAltName.
            """
    }
}
