import ArgumentParser
import Foundation
import RabbitMQ

#if canImport(FoundationNetworking)
import FoundationNetworking
#endif

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
