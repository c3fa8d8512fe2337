/// The rule by which a worker stops taking jobs from a queue whose jobs all fail, and finds out that they no longer do.
///
/// ```swift
/// WorkerQueue("mails", circuitBreaker: .after(failures: 20, pause: .seconds(5), longest: .seconds(120)))
/// ```
///
/// After the given number of failures in a row the worker stops consuming the queue and requeues what waits. After a
/// pause it takes one job of each lane at a time as a probe. If a probe succeeds, the worker consumes as before; if it
/// fails, the next pause is twice as long. Retries protect the job that fails; the breaker saves the attempts of all
/// jobs behind it, and spares the service that is down.
///
/// A failure is a handler that throws. Each worker process judges by its own jobs only.
public struct CircuitBreakerPolicy: Sendable, Hashable {
    /// The number of failures in a row that opens the breaker, at least 1.
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

    /// Pauses the queue after this many failures in a row, first for `pause`, then for twice as long each time, at most
    /// for `longest`.
    public static func after(
        failures: Int,
        pause: Duration = .seconds(5),
        longest: Duration = .seconds(120)
    ) -> CircuitBreakerPolicy {
        CircuitBreakerPolicy(failures: failures, pause: pause, longest: longest)
    }

    var isValid: Bool { failures >= 1 && pause > .zero && longest >= pause }
}

/// Decides by the results of jobs whether a queue is consumed.
///
/// A value without clock or I/O: events in, a decision out.
///
/// While it is closed, jobs are taken. After ``CircuitBreakerPolicy/failures`` in a row it opens, and none is taken;
/// when the pause is over, it is half-open: a few are taken as probes. A probe that succeeds closes it; one that fails
/// opens it for twice as long.
struct CircuitBreaker: Sendable {
    enum Phase: Sendable, Hashable {
        case closed
        case open(for: Duration)
        case halfOpen
    }

    private(set) var phase = Phase.closed
    /// The number of failures in a row, up to the one that opened it.
    private(set) var failures = 0
    /// Grows with each change of phase, so that results of jobs taken before a change can be distinguished from those
    /// taken after.
    private(set) var generation = 0
    private let policy: CircuitBreakerPolicy
    private var pause: Duration

    init(_ policy: CircuitBreakerPolicy) {
        self.policy = policy
        pause = policy.pause
    }

    /// Records the success of a job taken in `generation`.
    ///
    /// Returns true if the phase has changed.
    ///
    /// A job taken in an earlier generation says nothing about this one, and is ignored.
    mutating func succeeded(generation: Int) -> Bool {
        guard generation == self.generation else { return false }
        failures = 0
        guard phase == .halfOpen else { return false }
        pause = policy.pause
        enter(.closed)
        return true
    }

    /// Records the failure of a job taken in `generation`.
    ///
    /// Returns true if the phase has changed.
    mutating func failed(generation: Int) -> Bool {
        guard generation == self.generation else { return false }
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

    /// Ends the pause that began with `generation`.
    mutating func pauseEnded(generation: Int) {
        guard generation == self.generation, case .open = phase else { return }
        enter(.halfOpen)
    }

    private mutating func enter(_ phase: Phase) {
        self.phase = phase
        generation += 1
    }
}
