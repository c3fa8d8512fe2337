#if canImport(FoundationEssentials)
public import FoundationEssentials
#else
public import Foundation
#endif

/// Why a job failed, as its messages keep it: in headers, so that the body stays as it came.
///
/// A record is bounded, so that it fits into a message whatever the errors say: the history has at most ``historyLimit`` failures, and
/// texts are cut. Reading one never fails: what is missing or odd is `nil`.
public struct FailureRecord: Sendable, Hashable {
    /// The most failures that the history keeps: the last ones.
    public static let historyLimit = 20

    /// Why the job is in the dead queue; `nil` while it is still being retried.
    public var reason: DeadReason?
    /// The type of the last error.
    public var errorType: String?
    /// What the last error says.
    public var message: String?
    /// More about the last error.
    public var details: String?
    /// The failures, the oldest first.
    public var history: [FailedAttempt]
    /// How many failures there were in all.
    public var failures: Int
    /// The exchange through which the job came to its queue.
    public var originalExchange: String?
    /// The routing key with which the job came to its queue.
    public var originalRoutingKey: String?
    /// When the job failed first.
    public var firstFailedAt: Date?
    /// When the job failed last.
    public var lastFailedAt: Date?
    /// When the job was moved to the dead queue.
    public var deadAt: Date?

    /// A record in which nothing is said yet.
    public init() {
        history = []
        failures = 0
    }

    /// Adds a failure, and drops the oldest one if the history is full.
    mutating func add(_ error: ErrorDescription, attempt: Int, worker: String, now: Date) {
        add(
            FailedAttempt(
                attempt: attempt,
                time: now,
                worker: worker,
                errorType: error.type,
                message: error.message
            ),
            at: now
        )
    }

    /// Adds the loss of a worker, as ``add(_:attempt:worker:now:)`` does a failure.
    mutating func add(_ crash: CrashHistory.Crash, attempt: Int) {
        add(
            FailedAttempt(
                attempt: attempt,
                time: crash.startedAt,
                worker: crash.worker,
                errorType: CrashHistory.errorType,
                message: "The worker's process ended while the job ran alone in it."
            ),
            at: crash.startedAt
        )
    }

    private mutating func add(_ failure: FailedAttempt, at time: Date) {
        history = Array((history + [failure]).suffix(FailureRecord.historyLimit))
        failures = max(failures, history.count - 1).addingReportingOverflow(1).partialValue
        firstFailedAt = firstFailedAt ?? time
        lastFailedAt = time
    }

    /// Forgets what is said of a job in the dead queue only.
    mutating func clearDeath() {
        reason = nil
        errorType = nil
        message = nil
        details = nil
        originalExchange = nil
        originalRoutingKey = nil
        deadAt = nil
    }
}
