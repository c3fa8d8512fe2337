/// How a connection uses TLS.
///
/// The version is 1.2 or later, always.
public struct TLSConfiguration: Sendable, Hashable {
    /// What of the broker's certificate is checked.
    public enum Verification: Sendable, Hashable {
        /// That a trusted CA signed it, and that it is for this host.
        case full
        /// That a trusted CA signed it, for whatever host.
        case authorityOnly
        /// Nothing: whoever answers gets the password. For experiments.
        case none
    }

    /// A PEM file with the CAs to trust; without one, the system's.
    public var authorityFile: String?
    /// A PEM file with the client's certificate.
    public var certificateFile: String?
    /// A PEM file with the client's private key.
    public var privateKeyFile: String?
    /// What of the broker's certificate is checked.
    public var verification: Verification

    /// TLS with these files; without further words, the broker's certificate is checked in full.
    public init(
        authorityFile: String? = nil,
        certificateFile: String? = nil,
        privateKeyFile: String? = nil,
        verification: Verification = .full
    ) {
        self.authorityFile = authorityFile
        self.certificateFile = certificateFile
        self.privateKeyFile = privateKeyFile
        self.verification = verification
    }
}
