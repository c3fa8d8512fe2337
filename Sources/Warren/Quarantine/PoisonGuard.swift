import AMQP
import Logging
import Synchronization

/// Guards a worker against poison jobs, which take down the process that runs them.
///
/// A job that may be poison starts alone (see ``IsolationGate``), and each start is recorded at the broker (see
/// ``CrashRecords``) until the job has ended. A job whose records show too many starts that never ended is quarantined.
final class PoisonGuard: Sendable {
    /// The decision about a job that may be poison.
    enum Verdict {
        /// Start it. The start is on record, if records can be kept.
        case start
        /// Never start it again.
        case quarantine(CrashHistory)
        /// The broker can't be asked now: requeue it.
        case requeue
    }

    private enum Current {
        case started(CrashRecord, CrashRecords)
        case quarantined(CrashRecords)
    }

    /// The number of times the broker is asked before the job is requeued.
    private static let attempts = 5

    private let queue: QueueContext
    private let kind: QueueKind
    /// The one job that has the process to itself.
    private let current = Mutex<Current?>(nil)
    private let canKeepRecords = Atomic(true)

    init(_ queue: QueueContext) {
        self.queue = queue
        kind = queue.worker.topology.configuration(of: queue.name).kind
    }

    /// Judges a job that has just been admitted alone, and records its start.
    ///
    /// ``end(isSettled:)`` has to follow, whatever the verdict is.
    func begin(_ jobID: String) async -> Verdict {
        guard queue.worker.settings.declaresTopology else {
            stopKeepingRecords(because: "this worker declares nothing")
            return .start
        }
        let records = CrashRecords(queue: queue.name, jobID: jobID, kind: kind, transport: queue.worker.transport)
        var backoff = Backoff(from: .milliseconds(100), to: .seconds(2))
        for attempt in 1...Self.attempts where canKeepRecords.load(ordering: .relaxed) {
            do throws(AMQPError) {
                return try await judge(jobID, records)
            } catch {
                // The queue of the records can vanish between two steps: then it is declared again.
                guard error.isRetriable || error.code == .notFound || error.code == .unroutable else {
                    if error.code == .cancelled { return .requeue }
                    stopKeepingRecords(because: "\(error)")
                    break
                }
                if attempt == Self.attempts || queue.gate.isClosed { return .requeue }
            }
            try? await queue.worker.clock.sleep(for: backoff.next())
        }
        return .start
    }

    private func judge(_ jobID: String, _ records: CrashRecords) async throws(AMQPError) -> Verdict {
        let starts = try await records.open()
        if starts.count >= max(1, queue.worker.settings.crashLimit) {
            current.withLock { $0 = .quarantined(records) }
            return .quarantine(CrashHistory(crashes: starts.map { .init(worker: $0.worker, startedAt: $0.time) }))
        }
        let record = CrashRecord(jobID: jobID, worker: queue.worker.settings.name, now: queue.worker.now())
        // Noted before it is published: if the publish's outcome is unknown, the record has to be looked for at the
        // end.
        current.withLock { $0 = .started(record, records) }
        try await records.add(record)
        queue.logger.info(
            "A job may have crashed its worker; it runs alone",
            metadata: [LogKey.jobID: "\(jobID.truncated(toBytes: 80))", LogKey.crashes: "\(starts.count)"]
        )
        return .start
    }

    /// Removes the records of the job that had the process to itself: all of them if the job is settled, else the one
    /// of this start.
    func end(isSettled: Bool) async {
        guard let current = current.withLock({ $0.take() }) else { return }
        // A shield: shutdown cancels jobs, and a record that stays would count as a crash.
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
        queue.logger.warning(
            "The start record of a job could not be removed; if the job is delivered again, this start counts as a crash",
            metadata: [LogKey.reason: "\(failure)"]
        )
    }

    private func stopKeepingRecords(because reason: String) {
        guard canKeepRecords.exchange(false, ordering: .relaxed) else { return }
        queue.logger.warning(
            """
            Jobs that may be poison run alone, but their starts can't be recorded at the broker: only the broker's delivery limit stops a \
            job that crashes its worker again and again. Allow this user to declare queues named '<queue>.suspect.<hash>'.
            """,
            metadata: [LogKey.reason: "\(reason)"]
        )
    }
}

extension Delivery {
    /// True if the job may have crashed a process, so that it should run alone.
    ///
    /// This isn't proof: the count also rises for innocent jobs that waited or ran beside a poison job, whose
    /// connection was lost, or that were requeued often at a broker that counts this. A quorum queue counts deliveries
    /// in `x-delivery-count`, on every supported version also those whose consumer died: the second return raises the
    /// suspicion. A classic queue only says that there was one.
    var mayBePoison: Bool {
        guard isRedelivered else { return false }
        guard let count = message.properties.headers?[EnvelopeHeader.deliveryCount]?.integerValue else { return true }
        return count >= 2
    }
}
