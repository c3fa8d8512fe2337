/// The identity with which a client logs in to the broker.
///
/// No text or reflection of it shows the password.
public struct Credentials: Sendable, Hashable, CustomStringConvertible, CustomReflectable {
    /// The SASL mechanism and what it needs.
    enum Mechanism: Hashable {
        case plain(user: String, password: String)
        case external
    }

    let mechanism: Mechanism
    /// The time at which the broker stops accepting them; `nil` if they don't expire.
    ///
    /// Only those of a ``CredentialsSource`` are renewed.
    public var expiresAt: ContinuousClock.Instant?

    /// A user name, and a password or token.
    ///
    /// - Parameters:
    ///   - user: The user's name; RabbitMQ ignores it where a token names the user.
    ///   - password: The password, or an access token.
    ///   - expiresAt: The time at which the broker stops accepting the password or token.
    public static func plain(
        user: String,
        password: String,
        expiresAt: ContinuousClock.Instant? = nil
    ) -> Credentials {
        Credentials(mechanism: .plain(user: user, password: password), expiresAt: expiresAt)
    }

    /// The user that the broker derives from the client's TLS certificate.
    public static let external = Credentials(mechanism: .external, expiresAt: nil)

    /// The user name and password; `nil` without a password.
    package var userAndPassword: (user: String, password: String)? {
        guard case .plain(let user, let password) = mechanism else { return nil }
        return (user, password)
    }

    /// The identity, without the password.
    public var description: String {
        switch mechanism {
        case .plain(let user, _): "user '\(user)'"
        case .external: "the client certificate's user"
        }
    }

    /// A mirror without children.
    public var customMirror: Mirror { Mirror(self, children: [:]) }

    /// True if the secret of an open connection can be replaced by that of `renewed`, which must be the same user's.
    func canBecome(_ renewed: Credentials) -> Bool {
        guard let old = userAndPassword, let new = renewed.userAndPassword else { return false }
        return old.user == new.user
    }

    /// The part that can't be sent to a broker; `nil` if there is none.
    var fault: String? {
        guard let (user, password) = userAndPassword else { return nil }
        for (text, part) in [(user, "user name"), (password, "password")] where text.utf8.contains(0) {
            return "its \(part) contains a zero byte"
        }
        return nil
    }
}

/// A closure that returns a client's credentials, for passwords that are rotated and tokens that expire.
///
/// Each connection of a client calls it before it logs in and, where the credentials say when they expire, once four
/// fifths of the time until then have passed. The new password or token of the same user is sent to the broker over the
/// open connection (`connection.update-secret`, RabbitMQ 3.8 or later); publishes and consumers notice nothing.
///
/// ```swift
/// var configuration = RabbitMQClient.Configuration(url: try BrokerURL("amqps://broker.example"))
/// configuration.credentials = {
///     let token = try await identityProvider.token()
///     return .plain(user: "", password: token.text, expiresAt: .now + .seconds(token.expiresIn))
/// }
/// ```
///
/// It may take as long as connecting may (``BrokerURL/connectTimeout``). After an error, or without an answer by then,
/// a log-in fails with `credentialsUnavailable` and is tried again as any other; a renewal is tried again after pauses
/// that grow to half a minute, and logged each time. Messages and logs show only the type of the error that it threw,
/// whose text may hold a secret; the error itself is the `underlying` one.
///
/// Credentials of another user can't be given to an open connection. They are used from the next log-in on, and so is a
/// new password without an expiry, for which nothing asks before.
public typealias CredentialsSource = @Sendable () async throws -> Credentials
