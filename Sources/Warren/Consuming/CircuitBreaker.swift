/// When a worker stops taking jobs from a queue whose jobs all fail, and how it finds out that they don't any more.
///
/// ```swift
/// WorkerQueue("mails", circuitBreaker: .after(failures: 20, pause: .seconds(5), longest: .seconds(120)))
/// ```
///
/// After so many failures in a row the worker consumes the queue no more and hands back what waits. After a pause it takes one job of
/// each lane at a time, to try. If it succeeds, all is as before; if it fails, the next pause is twice as long. Retries spare the job
/// that fails; this spares the attempts of all jobs behind it, and the service that is down.
///
/// A failure is a handler that throws. Each worker process judges by what it sees itself.
public struct CircuitBreakerPolicy: Sendable, Hashable {
    /// How many failures in a row, at least 1.
    public var failures: Int
    /// The first pause.
    public var pause: Duration
    /// The longest pause.
    public var longest: Duration

    private init(failures: Int, pause: Duration, longest: Duration) {
        self.failures = failures
        self.pause = pause
        self.longest = longest
    }

    /// Pauses the queue after so many failures in a row, first for `pause`, then for twice as long each time, at most for `longest`.
    public static func after(
        failures: Int,
        pause: Duration = .seconds(5),
        longest: Duration = .seconds(120)
    ) -> CircuitBreakerPolicy {
        CircuitBreakerPolicy(failures: failures, pause: pause, longest: longest)
    }

    var isValid: Bool { failures >= 1 && pause > .zero && longest >= pause }
}

/// Decides whether a queue is consumed, by how its jobs end.
///
/// A value without clock or I/O: events in, a decision out.
///
/// Closed, jobs come in. After ``CircuitBreakerPolicy/failures`` in a row it opens, and none does; when the pause is over, it is
/// half-open: few come, as probes. A probe that succeeds closes it; one that fails opens it again, for twice as long.
struct CircuitBreaker: Sendable {
    enum Phase: Sendable, Hashable {
        case closed
        case open(for: Duration)
        case halfOpen
    }

    private(set) var phase = Phase.closed
    /// How many failures in a row there were; while it is closed, those that count.
    private(set) var failures = 0
    /// Grows with each change of phase, so that what was begun before can be told from what was begun after.
    private(set) var era = 0
    private let policy: CircuitBreakerPolicy
    private var pause: Duration

    init(_ policy: CircuitBreakerPolicy) {
        self.policy = policy
        pause = policy.pause
    }

    /// A job succeeded that was taken in `era`.
    ///
    /// True if the phase is another now. What was taken in an earlier era says nothing of how things are in this one.
    mutating func succeeded(era: Int) -> Bool {
        guard era == self.era else { return false }
        failures = 0
        guard phase == .halfOpen else { return false }
        pause = policy.pause
        enter(.closed)
        return true
    }

    /// A job failed that was taken in `era`.
    ///
    /// True if the phase is another now.
    mutating func failed(era: Int) -> Bool {
        guard era == self.era else { return false }
        failures += 1
        switch phase {
        case .closed:
            guard failures >= policy.failures else { return false }
        case .halfOpen:
            pause = min(pause * 2, policy.longest)
        case .open:
            return false
        }
        enter(.open(for: pause))
        return true
    }

    /// The pause is over that began with `era`.
    mutating func pauseEnded(era: Int) {
        guard era == self.era, case .open = phase else { return }
        enter(.halfOpen)
    }

    private mutating func enter(_ phase: Phase) {
        self.phase = phase
        era += 1
    }
}
