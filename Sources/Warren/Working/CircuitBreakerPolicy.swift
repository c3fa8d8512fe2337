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
