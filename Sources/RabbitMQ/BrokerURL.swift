public import AMQP

#if canImport(FoundationEssentials)
import FoundationEssentials
#else
import Foundation
#endif

/// A broker's address and the client's credentials, from a URL such as
/// `amqps://user:password@host:5671/vhost?heartbeat=30`.
///
/// The form is RabbitMQ's (<https://www.rabbitmq.com/docs/uri-spec>): user, password and virtual host are
/// percent-encoded, so the virtual host `/` is `%2f`. A URL without a virtual host, or with an empty one, means `/`.
/// Known parameters are `heartbeat` (seconds), `connection_timeout` (milliseconds), `cacertfile`, `certfile`,
/// `keyfile`, `verify` (`verify_peer` or `verify_none`) and `auth_mechanism` (`plain` or `external`)
/// (<https://www.rabbitmq.com/docs/uri-query-parameters>). Any other parameter is an error, since a misspelt one would
/// silently change nothing.
public struct BrokerURL: Sendable, Hashable {
    /// The broker's address.
    public var endpoint: BrokerEndpoint
    /// The virtual host to open.
    public var virtualHost: String
    /// The client's credentials.
    public var credentials: Credentials
    /// The TLS settings; `nil` means a connection without TLS.
    public var tls: TLSConfiguration?
    /// The interval in which each side shows that it is alive: from 1 to 65,535 seconds, or zero for none.
    ///
    /// AMQP counts whole seconds, so a fraction is dropped.
    public var heartbeat: Duration = .seconds(30)
    /// The longest time that connecting may take.
    public var connectTimeout: Duration = .seconds(10)

    /// Parses a URL.
    ///
    /// - Parameter text: The URL.
    /// - Throws: `invalidURL`, with the fault; the message contains no password.
    public init(_ text: String) throws(AMQPError) {
        guard !Self.hasUnescapedMark(text) else { throw Self.unescapedMark }
        guard let parts = URLComponents(string: text, encodingInvalidCharacters: false),
            let scheme = parts.scheme?.lowercased()
        else {
            throw Self.hasBarePercent(text)
                ? Self.invalid("it has a '%' without two hexadecimal digits behind it; write '%' itself as %25")
                : Self.invalid("it isn't a URL; write whatever isn't a letter or digit as '%' and its code")
        }
        guard scheme == "amqp" || scheme == "amqps" else {
            throw Self.invalid("its scheme is '\(scheme)' and must be amqp or amqps")
        }
        guard let host = parts.host, !host.isEmpty else { throw Self.invalid("it names no host") }
        guard !host.contains(",") else {
            throw Self.invalid("its host '\(host)' contains a comma; write each of several URLs in full")
        }
        let port = parts.port ?? (scheme == "amqps" ? 5671 : 5672)
        guard let port = UInt16(exactly: port), port > 0 else {
            throw Self.invalid("its port \(port) is not from 1 to 65535")
        }
        endpoint = BrokerEndpoint(host: host.trimmingBrackets, port: port)
        virtualHost = try Self.virtualHost(parts.percentEncodedPath)
        credentials = .plain(
            user: try Self.decoded(parts.percentEncodedUser, "user name") ?? "guest",
            password: try Self.decoded(parts.percentEncodedPassword, "password") ?? "guest"
        )
        if scheme == "amqps" { tls = TLSConfiguration() }
        for item in parts.queryItems ?? [] { try apply(item) }
    }

    /// Parses URLs separated by commas, one for each node of a cluster; a single URL is a list of one.
    ///
    /// A comma separates URLs only if `amqp://` or `amqps://` follows it.
    ///
    /// - Parameter text: The URLs.
    /// - Returns: The parsed URLs, in the same order.
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
            throw invalid("its path has more than one part; write a '/' in a virtual host's name as %2f")
        }
        return try decoded(String(path), "virtual host") ?? "/"
    }

    /// Decodes a percent-encoded part of the URL; without this, bytes that aren't UTF-8 would count as a missing part.
    private static func decoded(_ text: String?, _ part: String) throws(AMQPError) -> String? {
        guard let text else { return nil }
        var bytes: [UInt8] = []
        var rest = text.utf8[...]
        while let byte = rest.popFirst() {
            guard byte == UInt8(ascii: "%") else {
                bytes.append(byte)
                continue
            }
            guard let code = UInt8(String(Substring(rest.prefix(2))), radix: 16) else {
                throw invalid("its \(part) has a '%' that isn't followed by two hexadecimal digits")
            }
            bytes.append(code)
            rest = rest.dropFirst(2)
        }
        guard let decoded = String(validating: bytes, as: UTF8.self), !bytes.contains(0) else {
            throw invalid("its \(part) isn't percent-encoded UTF-8, or contains a zero byte")
        }
        return decoded
    }

    /// True if a user name or password seems to hold a '/', '?', '#' or '@' that isn't escaped, so that the rest of it
    /// looks like another part of the URL, which an error would show.
    private static func hasUnescapedMark(_ text: String) -> Bool {
        guard let start = text.firstRange(of: "://")?.upperBound else { return false }
        let authority = text[start...].prefix { $0 != "/" && $0 != "?" }
        let rest = text[authority.endIndex...]
        let path = rest.prefix { $0 != "?" }
        if text.contains("#") || path.contains("@") || authority.count(where: { $0 == "@" }) > 1 { return true }
        return rest[path.endIndex...].dropFirst().split(separator: "&").contains { item in
            let isFile = ["cacertfile=", "certfile=", "keyfile="].contains { item.hasPrefix($0) }
            return item.contains("@") && !(isFile && authority.contains("@"))
        }
    }

    /// True if the text has a '%' that doesn't begin an escape.
    private static func hasBarePercent(_ text: String) -> Bool {
        text.split(separator: "%", omittingEmptySubsequences: false).dropFirst().contains { rest in
            !(rest.prefix(2).count == 2 && rest.prefix(2).allSatisfy(\.isHexDigit))
        }
    }

    /// Throws unless the client can use the settings, which may have been changed since the URL was parsed.
    func validate() throws(AMQPError) {
        guard heartbeat == .zero || heartbeat >= .seconds(1) && heartbeat <= .seconds(Int(UInt16.max)) else {
            throw Self.invalid("its heartbeat of \(heartbeat) is neither zero nor from 1 to 65,535 seconds")
        }
        guard connectTimeout > .zero, connectTimeout <= .milliseconds(Int(UInt32.max)) else {
            throw Self.invalid("its limit of \(connectTimeout) for connecting is not from a millisecond to 49 days")
        }
        for (text, part) in [(virtualHost, "virtual host"), (endpoint.host, "host")] where text.utf8.contains(0) {
            throw Self.invalid("its \(part) contains a zero byte")
        }
        if let fault = credentials.fault { throw Self.invalid(fault) }
        guard virtualHost.utf8.count <= 255 else {
            throw Self.invalid("its virtual host has \(virtualHost.utf8.count) bytes; AMQP allows 255")
        }
    }

    private mutating func apply(_ item: URLQueryItem) throws(AMQPError) {
        guard let value = item.value else {
            throw Self.invalid("its parameter '\(item.name)' has no value, or one that isn't percent-encoded UTF-8")
        }
        switch item.name {
        case "heartbeat":
            guard let seconds = UInt16(value) else {
                throw Self.invalid("its heartbeat '\(value)' isn't a number of seconds")
            }
            heartbeat = .seconds(Int(seconds))
        case "connection_timeout":
            guard let milliseconds = UInt32(value), milliseconds > 0 else {
                throw Self.invalid("its connection_timeout '\(value)' isn't a number of milliseconds")
            }
            connectTimeout = .milliseconds(Int(milliseconds))
        case "cacertfile", "certfile", "keyfile", "verify": try applyTLS(item.name, value)
        case "auth_mechanism":
            switch value.lowercased() {
            case "external": credentials = .external
            case "plain": break
            default: throw Self.invalid("its auth_mechanism '\(value)' is neither plain nor external")
            }
        default: throw Self.invalid("its parameter '\(item.name)' isn't known")
        }
    }

    private mutating func applyTLS(_ name: String, _ value: String) throws(AMQPError) {
        guard tls != nil else { throw Self.invalid("it has '\(name)' but isn't amqps") }
        switch (name, value) {
        case ("cacertfile", _): tls?.authorityFile = value
        case ("certfile", _): tls?.certificateFile = value
        case ("keyfile", _): tls?.privateKeyFile = value
        case (_, "verify_peer"): tls?.verification = .full
        case (_, "verify_none"): tls?.verification = .none
        default: throw Self.invalid("its verify '\(value)' is neither verify_peer nor verify_none")
        }
    }

    private static var unescapedMark: AMQPError {
        invalid("write '/', '?', '#' and '@' in a user name, password or virtual host as %2F, %3F, %23 and %40")
    }

    private static func invalid(_ fault: String) -> AMQPError {
        AMQPError(
            .invalidURL,
            "The broker's URL can't be used: \(fault). A valid one is amqp://user:password@host:5672/%2f, or amqps:// for TLS."
        )
    }
}

extension String {
    fileprivate var trimmingWhitespace: String {
        String(drop(while: \.isWhitespace).reversed().drop(while: \.isWhitespace).reversed())
    }

    /// The text without the brackets around an IPv6 address.
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

    /// Creates an address from host and port.
    public init(host: String, port: UInt16) {
        self.host = host
        self.port = port
    }

    /// The address as `host:port`.
    public var description: String { host.contains(":") ? "[\(host)]:\(port)" : "\(host):\(port)" }
}
