/// The TLS settings of a connection: which certificates it trusts and presents.
///
/// The version is always 1.2 or later.
public struct TLSConfiguration: Sendable, Hashable {
    /// The checks of the broker's certificate.
    public struct Verification: Sendable, Hashable {
        let checksAuthority: Bool
        let checksHost: Bool

        /// A trusted CA must have signed the certificate, and it must be for this host.
        public static let full = Verification(checksAuthority: true, checksHost: true)
        /// A trusted CA must have signed the certificate, for whatever host.
        public static let authorityOnly = Verification(checksAuthority: true, checksHost: false)
        /// No checks, for experiments only: any server that answers gets the password.
        public static let none = Verification(checksAuthority: false, checksHost: false)
    }

    /// A PEM file with the CAs to trust; `nil` means the system's.
    public var authorityFile: String?
    /// A PEM file with the client's certificate.
    public var certificateFile: String?
    /// A PEM file with the client's private key.
    public var privateKeyFile: String?
    /// The checks of the broker's certificate.
    public var verification: Verification

    /// Creates TLS settings; by default, the broker's certificate is checked in full against the system's CAs.
    ///
    /// - Parameters:
    ///   - authorityFile: A PEM file with the CAs to trust; `nil` means the system's.
    ///   - certificateFile: A PEM file with the client's certificate.
    ///   - privateKeyFile: A PEM file with the client's private key.
    ///   - verification: The checks of the broker's certificate.
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
