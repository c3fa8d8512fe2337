import AMQP
import Logging
import Synchronization

#if canImport(FoundationEssentials)
import FoundationEssentials
#else
import Foundation
#endif

/// The suspected jobs of a queue, as one worker starts them: one at a time, each start on record at the broker.
final class PoisonGuard: Sendable {
    /// What to do with a suspected job.
    enum Verdict {
        /// Start it. The start is on record, if records can be kept.
        case start
        /// Don't start it any more.
        case quarantine(CrashHistory)
        /// The broker can't be asked now: hand it back.
        case requeue
    }

    private enum Current {
        case started(CrashRecord, CrashRecords)
        case quarantined(CrashRecords)
    }

    /// How often the broker is asked before the job is handed back.
    private static let attempts = 5

    private let queue: QueueName
    private let kind: QueueKind
    private let worker: Worker
    private let logger: Logger
    private let current = Mutex<Current?>(nil)
    private let canKeepRecords: Atomic<Bool>

    init(_ queue: QueueName, worker: Worker, logger: Logger) {
        self.queue = queue
        self.worker = worker
        self.logger = logger
        kind = worker.topology.configuration(of: queue).kind
        canKeepRecords = Atomic(true)
    }

    /// Judges a suspected job whose turn it is, and puts its start on record.
    ///
    /// ``ended(isSettled:)`` has to follow, whatever the verdict is.
    func begin(_ jobID: String, unless stopping: IsolationGate) async -> Verdict {
        guard worker.settings.declaresTopology else {
            giveUpRecords("this worker declares nothing")
            return .start
        }
        let records = CrashRecords(queue: queue, jobID: jobID, kind: kind, transport: worker.transport)
        var backoff = Backoff(from: .milliseconds(100), to: .seconds(2))
        for attempt in 1...Self.attempts where canKeepRecords.load(ordering: .relaxed) {
            do throws(AMQPError) {
                return try await judge(jobID, records)
            } catch {
                // The queue of the records can vanish between two steps: then it is declared again.
                guard error.isRetriable || error.code == .notFound || error.code == .unroutable else {
                    if error.code == .cancelled { return .requeue }
                    giveUpRecords("\(error)")
                    break
                }
                if attempt == Self.attempts || stopping.isClosed { return .requeue }
            }
            try? await worker.clock.sleep(for: backoff.next())
        }
        return .start
    }

    private func judge(_ jobID: String, _ records: CrashRecords) async throws(AMQPError) -> Verdict {
        let starts = try await records.open()
        if starts.count >= max(1, worker.settings.crashLimit) {
            current.withLock { $0 = .quarantined(records) }
            return .quarantine(CrashHistory(crashes: starts.map { .init(worker: $0.worker, startedAt: $0.time) }))
        }
        let record = CrashRecord(jobID: jobID, worker: worker.settings.name, now: worker.now())
        // Before it is published: if it is not known whether it was, it is to be looked for at the end.
        current.withLock { $0 = .started(record, records) }
        try await records.add(record)
        logger.info(
            "A job may have taken its worker down; it runs alone",
            metadata: [LogKey.jobID: "\(jobID.truncated(toBytes: 80))", LogKey.crashes: "\(starts.count)"]
        )
        return .start
    }

    /// Takes the suspected job's start off the record: all records if the job is settled, else that of this start only.
    func ended(isSettled: Bool) async {
        guard let current = current.withLock({ $0.take() }) else { return }
        // A shield: shutdown cancels jobs, and a record that stays would be counted as a crash.
        let failure = await Task { () async -> AMQPError? in
            do throws(AMQPError) {
                switch current {
                case .started(_, let records) where isSettled: try await records.removeAll()
                case .quarantined(let records) where isSettled: try await records.removeAll()
                case .started(let record, let records): try await records.remove(record)
                case .quarantined: break
                }
                return nil
            } catch {
                return error
            }
        }.value
        guard let failure else { return }
        logger.warning(
            "The record of a suspected job's start could not be removed; if the job comes again, it counts as a crash",
            metadata: [LogKey.reason: "\(failure)"]
        )
    }

    private func giveUpRecords(_ reason: String) {
        guard canKeepRecords.exchange(false, ordering: .relaxed) else { return }
        logger.warning(
            """
            Suspected jobs run alone, but their starts can't be recorded at the broker: a job that takes its worker down again and again \
            is only stopped by the broker's delivery limit. Allow this user to declare queues named '<queue>.suspect.<hash>'.
            """,
            metadata: [LogKey.queue: "\(queue)", LogKey.reason: "\(reason)"]
        )
    }
}

extension Delivery {
    /// True if the job may have taken a process down, so that it should run alone.
    ///
    /// It says no more than that: innocent jobs that were waiting or running beside the guilty one are suspected too, and so are those
    /// whose connection was lost, or that were handed back often to a broker that counts this. A quorum queue counts deliveries in
    /// `x-delivery-count`, on every supported version also those whose consumer died: the second return makes the suspicion. A classic
    /// queue only says that there was one.
    var mayBePoison: Bool {
        guard isRedelivered else { return false }
        guard let count = message.properties.headers?[EnvelopeHeader.deliveryCount]?.integerValue else { return true }
        return count >= 2
    }
}
