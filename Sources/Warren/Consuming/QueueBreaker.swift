import AMQP
import Logging
import Synchronization

/// The circuit breaker of a queue in one run of a worker: hears how jobs end, and tells the queue's readers to stop, to try, to go on.
final class QueueBreaker: Sendable {
    private struct State: Sendable {
        var breaker: CircuitBreaker
        /// The consumers of the queue's lanes in this era.
        var streams: [Int: DeliveryStream] = [:]
    }

    /// How a lane may be consumed: until the next change.
    struct Permission: Sendable {
        let era: Int
        /// True if only one delivery at a time is to be taken.
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
    /// `nil` if the worker stops meanwhile.
    func permission(unless stopping: Latch) async -> Permission? {
        while !stopping.isOpen {
            let (phase, era) = state.withLock { ($0.breaker.phase, $0.breaker.era) }
            switch phase {
            case .closed: return Permission(era: era, isProbe: false)
            case .halfOpen: return Permission(era: era, isProbe: true)
            case .open(let pause):
                if await stopping.wait(for: pause, clock: clock) { return nil }
                state.withLock { $0.breaker.pauseEnded(era: era) }
            }
        }
        return nil
    }

    /// Says which consumer a lane has now.
    ///
    /// False if the permission has ended meanwhile: then the consumer is to be cancelled by the caller.
    func began(_ stream: DeliveryStream, lane: Int, _ permission: Permission) -> Bool {
        state.withLock { state in
            guard state.breaker.era == permission.era else { return false }
            state.streams[lane] = stream
            return true
        }
    }

    /// True until the queue is to be consumed in another way.
    func holds(_ permission: Permission) -> Bool {
        state.withLock { $0.breaker.era == permission.era }
    }

    /// Hears how a job ended that came with this permission; what says nothing of the job's luck, as shutdown does, is passed over.
    func judge(_ ending: AttemptResult, _ permission: Permission) async {
        let change: (State, [DeliveryStream])? = state.withLock { state in
            let hasChanged =
                switch ending {
                case .returned: state.breaker.succeeded(era: permission.era)
                case .threw: state.breaker.failed(era: permission.era)
                default: false
                }
            guard hasChanged else { return nil }
            let streams = Array(state.streams.values)
            state.streams = [:]
            return (state, streams)
        }
        guard let (state, streams) = change else { return }
        tell(of: state.breaker, ending)
        // The readers see their streams end, and look what may be done now.
        for stream in streams { await stream.cancel() }
    }

    private func tell(of breaker: CircuitBreaker, _ ending: AttemptResult) {
        guard case .open(let pause) = breaker.phase, case .threw(let error) = ending else {
            return logger.info("A job succeeded: the queue is consumed again", metadata: [LogKey.queue: "\(queue)"])
        }
        counters.breakerOpened.add(1, ordering: .relaxed)
        logger.warning(
            "Too many jobs of a queue failed in a row: it is not consumed until a probe succeeds",
            metadata: [
                LogKey.queue: "\(queue)", LogKey.failures: "\(breaker.failures)",
                LogKey.error: "\(ErrorDescription(error).type)", LogKey.delay: "\(pause)",
            ]
        )
    }
}

/// How many jobs of one consumer run, so that its channel can be closed when none does: until then they need it to be settled.
///
/// Only queues with a circuit breaker keep it.
final class ConsumerLease: Sendable {
    private struct State: Sendable {
        var running = 0
        var retired: (id: Int, stream: DeliveryStream)?
    }

    let permission: QueueBreaker.Permission
    /// Opens when the broker sends the consumer no more.
    let ended = Latch()
    /// Opens when the consumer is retired and none of its jobs runs.
    let over = Latch()
    private let state = Mutex(State())

    /// The consumer, by its number among the worker's, once it is retired.
    var retired: (id: Int, stream: DeliveryStream)? { state.withLock { $0.retired } }

    init(_ permission: QueueBreaker.Permission) { self.permission = permission }

    func begin() { state.withLock { $0.running += 1 } }

    func end() {
        let isOver = state.withLock { state in
            state.running -= 1
            return state.retired != nil && state.running == 0
        }
        if isOver { over.open() }
    }

    /// No more jobs come from the consumer.
    func retire(_ id: Int, _ stream: DeliveryStream) {
        let isOver = state.withLock { state in
            state.retired = (id, stream)
            return state.running == 0
        }
        if isOver { over.open() }
    }
}
