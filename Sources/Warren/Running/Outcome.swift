#if canImport(FoundationEssentials)
public import FoundationEssentials
#else
public import Foundation
#endif

/// What becomes of one delivery: each has exactly one outcome, and `Settlement` makes it durable before it acknowledges the delivery.
public enum Outcome: Sendable, Hashable {
    /// The handler returned.
    case succeeded
    /// The handler failed; the job is due again after the delay.
    case retry(after: Duration)
    /// The job can't succeed: it goes to the dead queue.
    case dead(DeadReason)
    /// This worker doesn't know the job's name: the job waits in the parked queue for one that does.
    case parked
    /// The job expired and its kind says ``ExpiryPolicy/discard``: nothing remains of it.
    case expired
    /// The worker is stopping: the job goes back to its queue as it came.
    case requeued

    /// The outcome's name in logs and metrics.
    public var name: String {
        switch self {
        case .succeeded: "succeeded"
        case .retry: "retried"
        case .dead: "dead"
        case .parked: "parked"
        case .expired: "expired"
        case .requeued: "requeued"
        }
    }
}

extension Outcome {
    /// Decides what becomes of a delivery.
    ///
    /// A pure function: the same facts and the same random numbers give the same outcome. A job that would expire before its next
    /// attempt is dead at once, with its last error, whatever its ``ExpiryPolicy``: that speaks of jobs that were never started.
    ///
    /// - Parameter ending: What happened.
    /// - Parameter envelope: The job's message; `nil` if it can't be read.
    /// - Parameter policy: The job's retry policy.
    /// - Parameter expiryPolicy: The job's expiry policy.
    public static func decide(
        _ ending: AttemptResult,
        envelope: Envelope?,
        policy: RetryPolicy,
        expiryPolicy: ExpiryPolicy = .keep,
        now: Date,
        using generator: inout some RandomNumberGenerator
    ) -> Outcome {
        switch ending {
        case .returned: .succeeded
        case .undecodable(let error): .dead(.undecodable(error))
        case .unknownName: .parked
        case .expired: expiryPolicy.keepsJob ? .dead(.expired) : .expired
        case .interrupted: .requeued
        case .deliveredTooOften: .dead(.crashed)
        case .threw(let error): decide(on: error, envelope: envelope, policy: policy, now: now, using: &generator)
        }
    }

    private static func decide(
        on error: any Error,
        envelope: Envelope?,
        policy: RetryPolicy,
        now: Date,
        using generator: inout some RandomNumberGenerator
    ) -> Outcome {
        if let undecodable = error as? UndecodablePayload { return .dead(.undecodable(undecodable.reason)) }
        let attempt = envelope?.attempt ?? 1
        let decision = policy.decision(on: error)
        if decision == .never { return .dead(.permanent) }
        guard attempt < policy.attempts else { return .dead(.attemptsExhausted) }
        let delay: Duration
        if case .retryAfter(let chosen) = decision.kind {
            delay = RetryPolicy.bounded(chosen)
        } else {
            delay = policy.delay(afterAttempt: attempt, using: &generator)
        }
        if let envelope, envelope.isExpired(at: now.addingTimeInterval(delay / .seconds(1))) { return .dead(.expired) }
        return .retry(after: delay)
    }
}
