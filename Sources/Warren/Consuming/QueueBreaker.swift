import AMQP
import Logging
import Synchronization

/// The circuit breaker of a queue in one run of a worker: records the results of jobs, and makes the queue's readers
/// stop, probe and resume.
final class QueueBreaker: Sendable {
    private struct State: Sendable {
        var breaker: CircuitBreaker
        /// The consumers of the queue's lanes in this generation.
        var streams: [Int: DeliveryStream] = [:]
    }

    /// Permission to consume a lane until the breaker's next change of phase.
    struct Permit: Sendable {
        let generation: Int
        /// True if only one delivery at a time may be taken.
        let isProbe: Bool
    }

    private let queue: QueueName
    private let clock: any Clock<Duration>
    private let counters: WorkerCounters
    private let logger: Logger
    private let state: Mutex<State>

    init(
        _ policy: CircuitBreakerPolicy,
        queue: QueueName,
        clock: any Clock<Duration>,
        counters: WorkerCounters,
        logger: Logger
    ) {
        self.queue = queue
        self.clock = clock
        self.counters = counters
        self.logger = logger
        state = Mutex(State(breaker: CircuitBreaker(policy)))
    }

    /// Waits until the queue may be consumed.
    ///
    /// Returns `nil` if the worker stops first.
    func permit(unless stopping: Latch) async -> Permit? {
        while !stopping.isOpen {
            let (phase, generation) = state.withLock { ($0.breaker.phase, $0.breaker.generation) }
            switch phase {
            case .closed: return Permit(generation: generation, isProbe: false)
            case .halfOpen: return Permit(generation: generation, isProbe: true)
            case .open(let pause):
                if await stopping.wait(for: pause, clock: clock) { return nil }
                state.withLock { $0.breaker.pauseEnded(generation: generation) }
            }
        }
        return nil
    }

    /// Registers the consumer of a lane.
    ///
    /// Returns false if the permit has ended: then the caller has to cancel the consumer.
    func began(_ stream: DeliveryStream, lane: Int, _ permit: Permit) -> Bool {
        state.withLock { state in
            guard state.breaker.generation == permit.generation else { return false }
            state.streams[lane] = stream
            return true
        }
    }

    /// True until the breaker changes its phase.
    func isValid(_ permit: Permit) -> Bool {
        state.withLock { $0.breaker.generation == permit.generation }
    }

    /// Records the result of a job that was delivered under a permit.
    ///
    /// Results that say nothing about the job, as at shutdown, are ignored.
    func record(_ result: AttemptResult, _ permit: Permit) async {
        let change: (State, [DeliveryStream])? = state.withLock { state in
            let hasChanged =
                switch result {
                case .returned: state.breaker.succeeded(generation: permit.generation)
                case .threw: state.breaker.failed(generation: permit.generation)
                default: false
                }
            guard hasChanged else { return nil }
            let streams = Array(state.streams.values)
            state.streams = [:]
            return (state, streams)
        }
        guard let (state, streams) = change else { return }
        log(state.breaker, result)
        // The readers see their streams end, and ask for a new permit.
        for stream in streams { await stream.cancel() }
    }

    private func log(_ breaker: CircuitBreaker, _ result: AttemptResult) {
        guard case .open(let pause) = breaker.phase, case .threw(let error) = result else {
            return logger.info("Circuit breaker closed: a probe succeeded", metadata: [LogKey.queue: "\(queue)"])
        }
        counters.breakerOpened.add(1, ordering: .relaxed)
        logger.warning(
            "Circuit breaker opened: too many jobs of the queue failed in a row",
            metadata: [
                LogKey.queue: "\(queue)", LogKey.failures: "\(breaker.failures)",
                LogKey.error: "\(ErrorDescription(error).type)", LogKey.delay: "\(pause)",
            ]
        )
    }
}
