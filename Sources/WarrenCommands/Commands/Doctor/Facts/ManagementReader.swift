import ArgumentParser
import Foundation
import RabbitMQ

#if canImport(FoundationNetworking)
import FoundationNetworking
#endif

/// Reads from RabbitMQ's management API what AMQP doesn't tell.
///
/// It only asks (`GET`). Source: <https://www.rabbitmq.com/docs/management#http-api>.
struct ManagementReader: Sendable {
    /// Where to ask.
    let url: ManagementURL
    /// The virtual host.
    let virtualHost: String
    /// How long one answer may take.
    var timeout: Duration = .seconds(10)
    /// The largest answer that is read: some ten thousand queues.
    static let largestAnswer = 64 * 1024 * 1024

    /// Reads answers: their keys are in snake case.
    static var decoder: JSONDecoder {
        let decoder = JSONDecoder()
        decoder.keyDecodingStrategy = .convertFromSnakeCase
        return decoder
    }

    /// Why there is no answer.
    struct Failure: Error, Sendable {
        /// What happened, in half a sentence.
        let text: String
        /// True if the other requests can't do better.
        let isFinal: Bool
    }

    /// Reads all that can be read; what can't is in ``ManagementFacts/unreadable``.
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

    /// A list; `nil` if only this one can't be had.
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
                throw Failure(text: "the answer can't be understood", isFinal: false)
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
            // The error's own text can hold the URL; that has no password in it.
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
        case 401, 403: throw Failure(text: "the user is refused", isFinal: false)
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
    /// The date in seconds since 1970; `nil` if it isn't in that form.
    static func seconds(_ text: String) -> Double? {
        let formatter = DateFormatter()
        formatter.locale = Locale(identifier: "en_US_POSIX")
        formatter.timeZone = TimeZone(secondsFromGMT: 0)
        formatter.dateFormat = "EEE, dd MMM yyyy HH:mm:ss 'GMT'"
        return formatter.date(from: text)?.timeIntervalSince1970
    }
}

/// Where RabbitMQ's management API is, and as whom to ask it.
struct ManagementURL: Sendable {
    /// Scheme, host, port and path; no user.
    let base: URL
    private let authorization: String?

    /// Reads a URL such as `http://user:password@host:15672`.
    ///
    /// - Parameter credentials: Who to be if the URL doesn't say.
    /// - Throws: `ValidationError`, with no password in it.
    init(_ text: String, credentials: Credentials) throws {
        guard var parts = URLComponents(string: text), let scheme = parts.scheme, ["http", "https"].contains(scheme),
            parts.host?.isEmpty == false
        else {
            throw ValidationError(
                "The URL of the management API can't be read. Such a URL is http://user:password@host:15672."
            )
        }
        if let user = parts.user {
            authorization = Self.basic(user, parts.password ?? "")
        } else if case .plain(let user, let password) = credentials {
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
            throw ValidationError("The URL of the management API can't be read: is its host name right?")
        }
        base = url
    }

    /// A request for a path below the API, each part of which is escaped.
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
