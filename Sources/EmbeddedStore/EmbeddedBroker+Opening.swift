public import AMQP
import Dispatch
public import EmbeddedBroker
public import Logging

#if canImport(FoundationEssentials)
import FoundationEssentials
#else
import Foundation
#endif

extension EmbeddedBroker {
    /// Opens a broker whose durable state is in a file, or creates the file; its folder must exist.
    ///
    /// ```swift
    /// let broker = try await EmbeddedBroker.open(path: "/var/lib/app/jobs.db")
    /// ```
    ///
    /// Durable exchanges and queues, their bindings and the persistent messages in them survive the process, however it
    /// ends. A publish is confirmed, and a declaration answered, once it is on the disk. An acknowledgement is written
    /// shortly afterwards, so a message acknowledged in the last moments before a crash may be delivered again.
    /// Unsettled messages are requeued, marked as redelivered; messages that expired while no broker ran are
    /// dead-lettered on opening. All messages are also held in memory.
    ///
    /// Only one broker can use the file at a time. While the file can't be written, publishes wait as with RabbitMQ's
    /// disk alarm, and `health` gives the reason; publishes under way fail with `notPersisted`. Close the broker to
    /// release the file.
    ///
    /// - Parameter path: The file's path. Beside the file are its log (`-wal`), which belongs to it, and a lock
    ///   (`.lock`).
    /// - Parameter version: The version of RabbitMQ to behave as.
    /// - Parameter clock: The clock by which messages, queues and deliveries expire. The times in the file are
    ///   absolute.
    /// - Parameter logger: Logs when the file can't be written, and when it can be written again.
    /// - Throws: `resourceLocked` if another broker uses the file, with the id of its process; `storeUnusable` if the
    ///   file is another program's, corrupt, of a newer version, or can't be read and written. The file is not changed
    ///   then.
    public static func open(
        path: String,
        version: BrokerVersion = BrokerVersion(4, 3),
        clock: any Clock<Duration> = ContinuousClock(),
        logger: Logger = Logger(label: "warren.store")
    ) async throws(AMQPError) -> EmbeddedBroker {
        try await open(path: path, StoreSettings(), version: version, clock: clock, logger: logger).broker
    }

    /// Opens a broker as ``open(path:version:clock:logger:)`` does, with settings for tests; also returns its journal.
    package static func open(
        path: String,
        _ settings: StoreSettings,
        version: BrokerVersion = BrokerVersion(4, 3),
        clock: any Clock<Duration> = ContinuousClock(),
        logger: Logger = Logger(label: "warren.store")
    ) async throws(AMQPError) -> (broker: EmbeddedBroker, journal: StoreJournal) {
        let (file, changes) = try await load(path, settings).get()
        let journal = StoreJournal(file, logger: logger)
        let broker = EmbeddedBroker(version: version, clock: clock, journal: journal, restoring: changes)
        journal.onFailureChange { [weak broker] error in
            // Not the error's whole text, because every blocked publish reports this reason.
            let alarm = BrokerAlarm(reason: "its file '\(path)' can't be written")
            if error == nil { broker?.clearAlarm(alarm) } else { broker?.setAlarm(alarm) }
        }
        return (broker, journal)
    }

    /// Reads the file on a thread that may block.
    private static func load(
        _ path: String,
        _ settings: StoreSettings
    ) async -> Result<(StoreFile, [BrokerChange]), AMQPError> {
        await withCheckedContinuation { continuation in
            DispatchQueue.global().async {
                do {
                    let file = try StoreFile(at: path, settings)
                    continuation.resume(returning: .success((file, try file.load())))
                } catch {
                    continuation.resume(returning: .failure(.storeNotOpened(path, error)))
                }
            }
        }
    }

    /// Opens a broker whose durable state is in a file, by a URL such as `file:///var/lib/app/jobs.db`.
    ///
    /// - Parameter url: The file's URL.
    /// - Parameter version: The version of RabbitMQ to behave as.
    /// - Parameter clock: The clock by which messages, queues and deliveries expire. The times in the file are
    ///   absolute.
    /// - Parameter logger: Logs when the file can't be written, and when it can be written again.
    /// - Throws: `invalidURL` if it isn't the URL of a file on this machine, or an error of
    ///   ``open(path:version:clock:logger:)``.
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
                "'\(url)' is not the URL of a durable broker's file, such as file:///var/lib/app/jobs.db."
            )
        }
        return try await open(path: path, version: version, clock: clock, logger: logger)
    }
}
