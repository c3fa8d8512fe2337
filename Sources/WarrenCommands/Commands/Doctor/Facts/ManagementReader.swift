import AMQP
import ArgumentParser
import Foundation
import RabbitMQ

#if canImport(FoundationNetworking)
import FoundationNetworking
#endif

/// Reads the facts that AMQP doesn't expose from RabbitMQ's management API.
///
/// It only reads (`GET`). Source: <https://www.rabbitmq.com/docs/management#http-api>.
struct ManagementReader: Sendable {
    /// The API's address and user.
    let url: ManagementURL
    /// The virtual host.
    let virtualHost: String
    /// The time limit of one answer.
    var timeout: Duration = .seconds(10)
    /// The largest answer to read, in bytes: enough for about ten thousand queues.
    static let largestAnswer = 64 * 1024 * 1024

    /// Decodes answers, whose keys are in snake case.
    static var decoder: JSONDecoder {
        let decoder = JSONDecoder()
        decoder.keyDecodingStrategy = .convertFromSnakeCase
        return decoder
    }

    /// The reason for the lack of an answer.
    struct Failure: Error, Sendable {
        /// The reason, as part of a sentence.
        let text: String
        /// True if the other requests would fail too.
        let isFinal: Bool
    }

    /// Reads everything that the user may read; ``ManagementFacts/unreadable`` lists the rest.
    func read() async -> ManagementFacts {
        var facts = ManagementFacts()
        do throws(Failure) {
            facts.nodes = try await list(["nodes"], "nodes", &facts)
            facts.queues = try await list(["queues", virtualHost], "queues", &facts)
            facts.bindings = try await list(["bindings", virtualHost], "bindings", &facts)
            facts.policies = try await list(["policies", virtualHost], "policies", &facts)
            facts.operatorPolicies = try await list(["operator-policies", virtualHost], "operator policies", &facts)
        } catch {
            facts.failure = error.text
        }
        return facts
    }

    /// Reads the bindings from an exchange.
    func bindings(from exchange: String) async throws(Failure) -> [Binding] {
        let answer = try await get(["exchanges", virtualHost, exchange, "bindings", "source"])
        do {
            return try Self.decoder.decode([ManagedBinding].self, from: answer.body).map(\.binding)
        } catch {
            throw Failure(text: "the answer is malformed", isFinal: false)
        }
    }

    /// Reads a list; `nil` if this one can't be read but others may be.
    private func list<Item: Decodable>(
        _ path: [String],
        _ what: String,
        _ facts: inout ManagementFacts
    ) async throws(Failure) -> [Item]? {
        do throws(Failure) {
            let answer = try await get(path)
            if facts.skew == nil { facts.skew = answer.skew }
            do {
                return try Self.decoder.decode([Item].self, from: answer.body)
            } catch {
                throw Failure(text: "the answer is malformed", isFinal: false)
            }
        } catch {
            guard !error.isFinal else { throw error }
            facts.unreadable.append("\(what) (\(error.text))")
            return nil
        }
    }

    private func get(_ path: [String]) async throws(Failure) -> (body: Data, skew: ClockSkew?) {
        let request = url.request(path, timeout: timeout / .seconds(1))
        let sent = Date.now.timeIntervalSince1970
        let result: (Data, URLResponse)
        do {
            result = try await URLSession.shared.data(for: request)
        } catch {
            // The error's text can contain the URL, which has no password.
            throw Failure(
                text: "\(url.base.absoluteString) doesn't answer: \(error.localizedDescription)",
                isFinal: true
            )
        }
        let received = Date.now.timeIntervalSince1970
        guard let response = result.1 as? HTTPURLResponse else {
            throw Failure(text: "\(url.base.absoluteString) doesn't speak HTTP", isFinal: true)
        }
        switch response.statusCode {
        case 200: break
        case 404: throw Failure(text: "there is no such exchange or virtual host", isFinal: false)
        case 401, 403: throw Failure(text: "the user is not authorised", isFinal: false)
        case let status: throw Failure(text: "HTTP status \(status)", isFinal: false)
        }
        guard result.0.count <= Self.largestAnswer else {
            throw Failure(text: "the answer is too large", isFinal: false)
        }
        let date = response.value(forHTTPHeaderField: "Date").flatMap(HTTPDate.seconds)
        return (result.0, date.map { ClockSkew(date: $0, sent: sent, received: received) })
    }
}

/// The date of an HTTP header, such as `Sun, 06 Nov 1994 08:49:37 GMT` (RFC 9110, section 5.6.7).
enum HTTPDate {
    /// Parses a date into seconds since 1970; `nil` if it has another form.
    static func seconds(_ text: String) -> Double? {
        let formatter = DateFormatter()
        formatter.locale = Locale(identifier: "en_US_POSIX")
        formatter.timeZone = TimeZone(secondsFromGMT: 0)
        formatter.dateFormat = "EEE, dd MMM yyyy HH:mm:ss 'GMT'"
        return formatter.date(from: text)?.timeIntervalSince1970
    }
}

/// The address of RabbitMQ's management API, and the user to authenticate as.
struct ManagementURL: Sendable {
    /// Scheme, host, port and path, without the user.
    let base: URL
    private let authorization: String?

    /// Parses a URL such as `http://user:password@host:15672`.
    ///
    /// - Parameter credentials: The user and password for a URL without them.
    /// - Throws: `ValidationError`, whose text contains no password.
    init(_ text: String, credentials: Credentials) throws {
        guard var parts = URLComponents(string: text), let scheme = parts.scheme, ["http", "https"].contains(scheme),
            parts.host?.isEmpty == false
        else {
            throw ValidationError(
                "The URL of the management API is invalid. An example is http://user:password@host:15672."
            )
        }
        if let user = parts.user {
            authorization = Self.basic(user, parts.password ?? "")
        } else if let (user, password) = credentials.userAndPassword {
            authorization = Self.basic(user, password)
        } else {
            authorization = nil
        }
        parts.user = nil
        parts.password = nil
        parts.query = nil
        parts.fragment = nil
        while parts.path.hasSuffix("/") { parts.path.removeLast() }
        guard let url = parts.url else {
            throw ValidationError("The URL of the management API is invalid: check its host name.")
        }
        base = url
    }

    /// Returns a request for a path below the API; each part is escaped.
    func request(_ path: [String], timeout: TimeInterval) -> URLRequest {
        let escaped = path.map { $0.addingPercentEncoding(withAllowedCharacters: .alphanumerics) ?? "" }
        let url = URL(string: base.absoluteString + "/api/" + escaped.joined(separator: "/")) ?? base
        var request = URLRequest(url: url, cachePolicy: .reloadIgnoringLocalCacheData, timeoutInterval: timeout)
        if let authorization { request.setValue(authorization, forHTTPHeaderField: "Authorization") }
        return request
    }

    private static func basic(_ user: String, _ password: String) -> String {
        "Basic " + Data("\(user):\(password)".utf8).base64EncodedString()
    }
}
