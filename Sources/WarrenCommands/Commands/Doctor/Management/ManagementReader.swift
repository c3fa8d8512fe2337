import Foundation

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

    /// Reads all that can be read; what can't is in ``ManagementFacts/unread``.
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
            facts.unread.append("\(what) (\(error.text))")
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
