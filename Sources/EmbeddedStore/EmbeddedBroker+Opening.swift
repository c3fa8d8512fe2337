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
    /// Opens a broker whose durable state is in a file, or makes the file; its folder must exist.
    ///
    /// ```swift
    /// let broker = try await EmbeddedBroker.open(path: "/var/lib/app/jobs.db")
    /// ```
    ///
    /// Durable exchanges and queues, their bindings and the persistent messages in them survive the process, however it ends. A publish is
    /// confirmed, and a declaration answered, when the disk has it; an acknowledgement is written soon after, so that a message may come
    /// again that was acknowledged in the last moments. What was unsettled comes back as redelivered and counts as returned; what expired
    /// meanwhile is dead-lettered on opening. All messages are in memory too.
    ///
    /// One broker has the file at a time. While it can't be written, publishes wait as with RabbitMQ's disk alarm, and ``health`` says why;
    /// those under way fail with `notPersisted`. Close the broker to give the file up.
    ///
    /// - Parameter path: Where the file is. Beside it stand its log (`-wal`), which belongs to it, and a lock (`.lock`).
    /// - Parameter version: The RabbitMQ that it behaves as.
    /// - Parameter clock: By which messages, queues and deliveries expire. The times in the file are absolute.
    /// - Parameter logger: Told when the file can't be written, and when it can again.
    /// - Throws: `resourceLocked` if another broker has the file, and which process that is; `storeUnusable` if the file is another program's,
    ///   broken, of a later version, or can't be read and written. Nothing is changed in it then.
    public static func open(
        path: String,
        version: BrokerVersion = BrokerVersion(4, 3),
        clock: any Clock<Duration> = ContinuousClock(),
        logger: Logger = Logger(label: "warren.store")
    ) async throws(AMQPError) -> EmbeddedBroker {
        try await open(path: path, StoreSettings(), version: version, clock: clock, logger: logger).broker
    }

    /// As ``open(path:version:clock:logger:)``, for tests.
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
            // Not the error's whole text: while it lasts, every publisher is told this.
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
}

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
