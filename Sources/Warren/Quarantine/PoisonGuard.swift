import AMQP
import Logging
import Synchronization

/// Guards workers against poison jobs, which take down the process that runs them, at no cost to other jobs.
///
/// A job that was returned too often to be above suspicion (``Delivery/mayBePoison``) runs as any other, with its start
/// and end on record (``StartLog``). Only if one of its starts has no end does it move to the queue's quarantine, of
/// which each worker runs one job at a time, in one of its slots. A job is dead once it was started from quarantine too
/// often without an end.
final class PoisonGuard: Sendable {
    /// The decision about a job that may be poison.
    enum Verdict: Sendable {
        /// Start it. The start is on record, if records can be kept; ``PoisonGuard/end(_:isSettled:)`` has to follow.
        case start(JobStart?)
        /// Move it to quarantine: a start of it has no end.
        case quarantine
        /// Never start it again.
        case dead(CrashHistory)
        /// The worker is stopping, or the delivery was lost: give it back.
        case giveBack
    }

    /// The time that a worker has to come back from a lost connection and record the end of its start, before a job is
    /// dead for it.
    private static let grace = Duration.seconds(10)

    private let queue: QueueContext
    private var log: StartLog { queue.starts }
    private let canKeepRecords = Atomic(true)
    /// The starts of this queue's running jobs, by their ids.
    private let running = Mutex<[String: JobStart]>([:])

    init(_ queue: QueueContext) { self.queue = queue }

    /// Judges a job, after recording its start.
    func judge(_ delivery: Delivery, jobID: String, isQuarantined: Bool) async -> Verdict {
        let start = JobStart(
            id: JobID.make(now: queue.worker.now()),
            job: "\(queue.name)/\(jobID)".truncated(toBytes: ErrorDescription.nameLimit),
            worker: queue.worker.settings.name,
            run: log.run,
            time: queue.worker.now(),
            isQuarantined: isQuarantined
        )
        var backoff = Backoff(from: .milliseconds(100), to: .seconds(5))
        while canKeepRecords.load(ordering: .relaxed) {
            do throws(AMQPError) {
                guard let earlier = try await log.begin(start), !delivery.isLost else { break }
                let verdict = await judge(start, earlier)
                if case .quarantine = verdict { try await makeQuarantine() }
                return verdict
            } catch {
                // The stream can vanish between two steps: then it is declared again.
                guard error.isRetriable || error.code == .notFound || error.code == .unroutable else {
                    if error.code == .cancelled { break }
                    stopKeepingRecords(because: error)
                    return .start(nil)
                }
                if error.code == .notFound, !queue.worker.settings.declaresTopology {
                    stopKeepingRecords(because: error)
                    return .start(nil)
                }
                if delivery.isLost { break }
                if await queue.closed.wait(for: backoff.next(), clock: queue.worker.clock) { break }
            }
        }
        guard canKeepRecords.load(ordering: .relaxed) else { return .start(nil) }
        await log.end(start)
        return .giveBack
    }

    /// Declares the quarantine, and lets this worker consume it.
    private func makeQuarantine() async throws(AMQPError) {
        if queue.quarantineExists.isOpen { return }
        if queue.worker.settings.declaresTopology {
            try await queue.declarer.declareQuarantine(of: queue.name)
        } else {
            _ = try await queue.worker.transport.status(ofQueue: queue.name.quarantine)
        }
        queue.quarantineExists.open()
    }

    private func judge(_ start: JobStart, _ earlier: [JobStart]) async -> Verdict {
        guard start.isQuarantined else {
            if earlier.isEmpty { return begin(start) }
            await log.end(start)
            return .quarantine
        }
        var crashes = earlier.filter(\.isQuarantined)
        if crashes.count >= queue.worker.settings.crashLimit {
            if await queue.closed.wait(for: Self.grace, clock: queue.worker.clock) {
                await log.end(start)
                return .giveBack
            }
            crashes = log.unended(before: start).filter(\.isQuarantined)
        }
        guard crashes.count >= queue.worker.settings.crashLimit else { return begin(start) }
        await log.end(start)
        return .dead(CrashHistory(crashes: crashes.map { .init(worker: $0.worker, startedAt: $0.time) }))
    }

    private func begin(_ start: JobStart) -> Verdict {
        running.withLock { $0[start.id] = start }
        return .start(start)
    }

    /// Records the end of a start.
    ///
    /// - Parameter isSettled: Whether the job is settled, rather than requeued.
    func end(_ start: JobStart, isSettled: Bool) async {
        guard running.withLock({ $0.removeValue(forKey: start.id) }) != nil else { return }
        await log.end(start, isSettled: isSettled)
    }

    /// Records the end of a start once the broker has taken its delivery back: its handler may still run, but no crash
    /// is to blame.
    ///
    /// Returns then, or when the task is cancelled.
    func endWhenLost(_ start: JobStart, _ delivery: Delivery) async {
        while !delivery.isLost {
            do { try await queue.worker.clock.sleep(for: .seconds(1)) } catch { return }
        }
        await end(start, isSettled: false)
    }

    /// Records the end of all starts, as at the end of the worker.
    func endAllStarts() async {
        let left = running.withLock { running in
            defer { running = [:] }
            return Array(running.values)
        }
        for start in left { await log.end(start) }
    }

    private func stopKeepingRecords(because error: AMQPError) {
        guard canKeepRecords.exchange(false, ordering: .relaxed) else { return }
        queue.logger.error(
            """
            The starts of jobs that may be poison can't be recorded, so only the queue's delivery limit stops a job that crashes its \
            worker again and again: let this user declare, write and read the stream '\(log.name)' and the queue \
            '\(queue.name.quarantine)', or declare them with 'warren topology apply --quarantine'
            """,
            metadata: [LogKey.reason: "\(error)"]
        )
    }
}

extension Delivery {
    /// True if the job was returned unsettled so often that it may have crashed its workers.
    ///
    /// This isn't proof: the count also rises for innocent jobs that were requeued, whose connection was lost, or that
    /// waited beside a poison job. A quorum queue counts deliveries in `x-delivery-count`: the second return raises the
    /// suspicion. From RabbitMQ 4.3 on it leaves out those that a worker gave back by `nack`, which only
    /// `x-acquired-count` has. A classic queue only says that there was one.
    var mayBePoison: Bool {
        guard isRedelivered else { return false }
        let headers = message.properties.headers
        if let count = headers?[EnvelopeHeader.deliveryCount]?.integerValue { return count >= 2 }
        return headers?[EnvelopeHeader.acquiredCount] == nil
    }
}
