public import AMQP
public import EmbeddedBroker
public import Logging

#if canImport(FoundationEssentials)
import FoundationEssentials
#else
import Foundation
#endif

extension EmbeddedBroker {
    /// Opens a broker by its URL, such as `file:///var/lib/app/jobs.db`; as ``open(path:version:clock:logger:)``.
    ///
    /// - Throws: `invalidURL` if it isn't the URL of a file on this machine, and what opening it throws.
    public static func open(
        url: String,
        version: BrokerVersion = BrokerVersion(4, 3),
        clock: any Clock<Duration> = ContinuousClock(),
        logger: Logger = Logger(label: "warren.store")
    ) async throws(AMQPError) -> EmbeddedBroker {
        guard let parts = URL(string: url), parts.scheme == "file", ["", "localhost"].contains(parts.host() ?? ""),
            case let path = parts.path(percentEncoded: false), path.hasPrefix("/"), path.count > 1
        else {
            throw AMQPError(
                .invalidURL,
                "'\(url)' is not the URL of a file for a durable broker: it should look like file:///var/lib/app/jobs.db."
            )
        }
        return try await open(path: path, version: version, clock: clock, logger: logger)
    }
}
