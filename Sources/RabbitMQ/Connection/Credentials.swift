/// Who a client is to the broker.
public enum Credentials: Sendable, Hashable, CustomStringConvertible {
    /// A user with a password.
    case plain(user: String, password: String)
    /// The user that the broker reads from the client's TLS certificate.
    case external

    /// Who it is, without the password.
    public var description: String {
        switch self {
        case .plain(let user, _): "user '\(user)'"
        case .external: "the client certificate's user"
        }
    }
}
