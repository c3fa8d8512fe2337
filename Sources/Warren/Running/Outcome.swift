#if canImport(FoundationEssentials)
package import FoundationEssentials
#else
package import Foundation
#endif

/// The outcome of one delivery.
///
/// Each delivery has exactly one, and it is made durable before the delivery is acknowledged.
///
/// Compare with the static members, or look at ``retryDelay`` and ``deadReason``; later versions may add outcomes.
public struct Outcome: Sendable, Hashable, CustomStringConvertible {
    enum Kind: Sendable, Hashable {
        case succeeded
        case retry(after: Duration)
        case dead(DeadReason)
        case parked
        case expired
        case requeued
    }

    let kind: Kind

    private init(_ kind: Kind) { self.kind = kind }

    /// The handler returned.
    public static let succeeded = Outcome(.succeeded)
    /// The handler failed; the job is due again after the delay.
    public static func retry(after delay: Duration) -> Outcome { Outcome(.retry(after: delay)) }
    /// The job can't succeed: it goes to the dead queue.
    public static func dead(_ reason: DeadReason) -> Outcome { Outcome(.dead(reason)) }
    /// No handler of this worker has the job's name: the job waits in the parked queue (a parking-lot queue) for a
    /// worker that does.
    public static let parked = Outcome(.parked)
    /// The job expired, and its ``ExpiryPolicy`` is to discard it: it is removed.
    public static let expired = Outcome(.expired)
    /// The job returned to its queue unchanged, because the worker is stopping or the outcome could not be made
    /// durable.
    public static let requeued = Outcome(.requeued)

    /// The delay before the next attempt; `nil` unless the job is retried.
    public var retryDelay: Duration? { if case .retry(let delay) = kind { delay } else { nil } }
    /// The reason why the job is in the dead queue; `nil` unless it is.
    public var deadReason: DeadReason? { if case .dead(let reason) = kind { reason } else { nil } }

    /// The outcome's name in logs and metrics.
    public var name: String {
        switch kind {
        case .succeeded: "succeeded"
        case .retry: "retried"
        case .dead: "dead"
        case .parked: "parked"
        case .expired: "expired"
        case .requeued: "requeued"
        }
    }

    /// The name, with the delay or reason if there is one.
    public var description: String {
        switch kind {
        case .retry(let delay): "\(name) (after \(delay))"
        case .dead(let reason): "\(name) (\(reason))"
        default: name
        }
    }
}

extension Outcome {
    /// Decides the outcome of a delivery.
    ///
    /// This is a pure function: the same facts and the same random numbers give the same outcome. A job that would
    /// expire before its next attempt is dead at once with its last error, whatever its ``ExpiryPolicy``, which is
    /// about jobs that never started.
    ///
    /// - Parameters:
    ///   - result: The result of the attempt, or why there was none.
    ///   - envelope: The job's message; `nil` if it can't be read.
    ///   - policy: The job's retry policy.
    ///   - expiryPolicy: The job's expiry policy.
    ///   - now: The present.
    ///   - generator: The source of the jitter in retry delays.
    package static func decide(
        _ result: AttemptResult,
        envelope: Envelope?,
        policy: RetryPolicy,
        expiryPolicy: ExpiryPolicy = .keep,
        now: Date,
        using generator: inout some RandomNumberGenerator
    ) -> Outcome {
        switch result {
        case .returned: .succeeded
        case .undecodable(let error): .dead(.undecodable(error))
        case .unknownName: .parked
        case .expired: expiryPolicy.keepsJob ? .dead(.expired) : .expired
        case .interrupted: .requeued
        case .crashedTooOften: .dead(.crashed)
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
