public import AMQP

#if canImport(FoundationEssentials)
import FoundationEssentials
#else
import Foundation
#endif

/// Where a broker is and who the client is there, from a URL such as `amqps://user:password@host:5671/vhost?heartbeat=30`.
///
/// The form is RabbitMQ's (<https://www.rabbitmq.com/docs/uri-spec>): user, password and virtual host are percent-encoded, so the virtual
/// host `/` is `%2f`. A URL without a virtual host, or with an empty one, means `/`. Known parameters are `heartbeat` (seconds),
/// `connection_timeout` (milliseconds), `cacertfile`, `certfile`, `keyfile`, `verify` (`verify_peer` or `verify_none`) and
/// `auth_mechanism` (`plain` or `external`) (<https://www.rabbitmq.com/docs/uri-query-parameters>); others are an error, since
/// a misspelt one would silently change nothing.
public struct BrokerURL: Sendable, Hashable {
    /// The broker's address.
    public var endpoint: BrokerEndpoint
    /// The virtual host.
    public var virtualHost: String
    /// Who the client is.
    public var credentials: Credentials
    /// How to use TLS; `nil` is in plain.
    public var tls: TLSConfiguration?
    /// How often each side shows that it is alive.
    public var heartbeat: Duration = .seconds(30)
    /// How long connecting may take.
    public var connectTimeout: Duration = .seconds(10)

    /// Reads a URL.
    ///
    /// - Throws: `invalidURL`, with what is wrong; the message holds no password.
    public init(_ text: String) throws(AMQPError) {
        guard let parts = URLComponents(string: text, encodingInvalidCharacters: false),
            let scheme = parts.scheme?.lowercased()
        else {
            throw Self.invalid("it is no URL")
        }
        guard scheme == "amqp" || scheme == "amqps" else {
            throw Self.invalid("its scheme is '\(scheme)', and must be amqp or amqps")
        }
        guard let host = parts.host, !host.isEmpty else { throw Self.invalid("it names no host") }
        guard !host.contains(",") else {
            throw Self.invalid("its host '\(host)' has a comma in it: several URLs are each written in full")
        }
        let port = parts.port ?? (scheme == "amqps" ? 5671 : 5672)
        guard let port = UInt16(exactly: port), port > 0 else {
            throw Self.invalid("its port \(port) is not from 1 to 65535")
        }
        endpoint = BrokerEndpoint(host: host.trimmingBrackets, port: port)
        virtualHost = try Self.virtualHost(parts.percentEncodedPath)
        credentials = .plain(user: parts.user ?? "guest", password: parts.password ?? "guest")
        if scheme == "amqps" { tls = TLSConfiguration() }
        for item in parts.queryItems ?? [] { try apply(item) }
    }

    /// Reads several URLs with commas between them, one for each node of a cluster; a single one is a list of one.
    ///
    /// A comma is taken for one between URLs only if `amqp://` or `amqps://` follows it.
    ///
    /// - Throws: `invalidURL`.
    public static func list(_ text: String) throws(AMQPError) -> [BrokerURL] {
        var urls: [String] = []
        for part in text.split(separator: ",", omittingEmptySubsequences: false) {
            let begins = part.drop(while: \.isWhitespace).lowercased()
            if urls.isEmpty || begins.hasPrefix("amqp://") || begins.hasPrefix("amqps://") {
                urls.append(String(part))
            } else {
                urls[urls.count - 1] += "," + part
            }
        }
        var list: [BrokerURL] = []
        for url in urls { list.append(try BrokerURL(url.trimmingWhitespace)) }
        return list
    }

    private static func virtualHost(_ path: String) throws(AMQPError) -> String {
        let path = path.dropFirst()
        if path.isEmpty { return "/" }
        guard !path.contains("/") else {
            throw invalid("its path has more than one part: a '/' in a virtual host's name is written %2f")
        }
        var decoder = URLComponents()
        decoder.percentEncodedPath = String(path)
        return decoder.path
    }

    private mutating func apply(_ item: URLQueryItem) throws(AMQPError) {
        let value = item.value ?? ""
        switch item.name {
        case "heartbeat":
            guard let seconds = UInt16(value) else {
                throw Self.invalid("its heartbeat '\(value)' is no number of seconds")
            }
            heartbeat = .seconds(Int(seconds))
        case "connection_timeout":
            guard let milliseconds = UInt32(value), milliseconds > 0 else {
                throw Self.invalid("its connection_timeout '\(value)' is no number of milliseconds")
            }
            connectTimeout = .milliseconds(Int(milliseconds))
        case "cacertfile", "certfile", "keyfile", "verify": try applyTLS(item.name, value)
        case "auth_mechanism":
            switch value.lowercased() {
            case "external": credentials = .external
            case "plain": break
            default: throw Self.invalid("its auth_mechanism '\(value)' is neither plain nor external")
            }
        default: throw Self.invalid("it has a parameter that isn't known, '\(item.name)'")
        }
    }

    private mutating func applyTLS(_ name: String, _ value: String) throws(AMQPError) {
        guard tls != nil else { throw Self.invalid("it has '\(name)' and isn't amqps") }
        switch (name, value) {
        case ("cacertfile", _): tls?.authorityFile = value
        case ("certfile", _): tls?.certificateFile = value
        case ("keyfile", _): tls?.privateKeyFile = value
        case (_, "verify_peer"): tls?.verification = .full
        case (_, "verify_none"): tls?.verification = .none
        default: throw Self.invalid("its verify '\(value)' is neither verify_peer nor verify_none")
        }
    }

    private static func invalid(_ what: String) -> AMQPError {
        AMQPError(
            .invalidURL,
            "The broker's URL can't be used: \(what). Such a URL is amqp://user:password@host:5672/%2f, or amqps:// for TLS."
        )
    }
}

extension String {
    fileprivate var trimmingWhitespace: String {
        String(drop(while: \.isWhitespace).reversed().drop(while: \.isWhitespace).reversed())
    }

    /// An IPv6 address without its brackets.
    fileprivate var trimmingBrackets: String {
        hasPrefix("[") && hasSuffix("]") ? String(dropFirst().dropLast()) : self
    }
}

/// A broker's address.
public struct BrokerEndpoint: Sendable, Hashable, CustomStringConvertible {
    /// The host's name or IP address.
    public var host: String
    /// The TCP port; RabbitMQ's defaults are 5672, and 5671 with TLS.
    public var port: UInt16

    /// An address by host and port.
    public init(host: String, port: UInt16) {
        self.host = host
        self.port = port
    }

    /// The address as `host:port`.
    public var description: String { host.contains(":") ? "[\(host)]:\(port)" : "\(host):\(port)" }
}

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
