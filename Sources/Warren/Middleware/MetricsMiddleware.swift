public import Metrics
import Synchronization

/// Counts and times jobs through swift-metrics.
///
/// | name | kind | dimensions |
/// |---|---|---|
/// | `warren_jobs_total` | counter | `job`, `queue`, `outcome` (see ``Outcome/name``) |
/// | `warren_job_duration_seconds` | timer: the duration of each attempt, failed or not | `job`, `queue` |
/// | `warren_jobs_enqueued_total` | counter: jobs taken by the broker or the client's ``Spool`` | `job`, `queue` |
/// | `warren_jobs_spooled_total` | counter: those of them that the spool took | `job`, `queue` |
///
/// Names come from messages, and a back end keeps every combination for good. So after 1,000 combinations, new ones are
/// counted under the job `other`.
public final class MetricsMiddleware: JobMiddleware, EnqueueMiddleware {
    private struct Key: Hashable {
        var job: String
        var queue: QueueName
        var outcome: String

        var dimensions: [(String, String)] { [("job", job), ("queue", queue.rawValue)] }
    }

    private struct Handlers {
        var counters: [Key: Counter] = [:]
        var timers: [Key: Timer] = [:]
    }

    private static let limit = 1_000
    private static let timed = ""
    private static let enqueued = "enqueued"
    private static let spooled = "spooled"

    private let handlers = Mutex(Handlers())
    private let factory: any MetricsFactory

    /// Records into `factory`; without one, into the system that the process has set up.
    public init(factory: (any MetricsFactory)? = nil) {
        self.factory = factory ?? MetricsSystem.factory
    }

    /// Times the job.
    public func execute(_ context: JobContext, next: (JobContext) async throws -> Void) async throws {
        let start = ContinuousClock.now
        defer { timer(context).record(duration: ContinuousClock.now - start) }
        try await next(context)
    }

    /// Counts the job by its outcome.
    public func settled(_ context: JobContext, outcome: Outcome) {
        counter(Key(job: context.name, queue: context.queue, outcome: outcome.name)).increment()
    }

    /// Counts a job that the broker or the spool took.
    public func enqueue(
        _ request: EnqueueRequest,
        next: (EnqueueRequest) async throws -> EnqueuedJob
    ) async throws -> EnqueuedJob {
        let job = try await next(request)
        counter(Key(job: job.name, queue: job.queue, outcome: MetricsMiddleware.enqueued)).increment()
        if job.isSpooled {
            counter(Key(job: job.name, queue: job.queue, outcome: MetricsMiddleware.spooled)).increment()
        }
        return job
    }

    private func counter(_ key: Key) -> Counter {
        handlers.withLock { handlers in
            if let counter = handlers.counters[key] { return counter }
            let key = MetricsMiddleware.bounded(key, by: handlers.counters.count)
            if let counter = handlers.counters[key] { return counter }
            let counter =
                [MetricsMiddleware.enqueued, MetricsMiddleware.spooled].contains(key.outcome)
                ? Counter(label: "warren_jobs_\(key.outcome)_total", dimensions: key.dimensions, factory: factory)
                : Counter(
                    label: "warren_jobs_total",
                    dimensions: key.dimensions + [("outcome", key.outcome)],
                    factory: factory
                )
            handlers.counters[key] = counter
            return counter
        }
    }

    private func timer(_ context: JobContext) -> Timer {
        let key = Key(job: context.name, queue: context.queue, outcome: MetricsMiddleware.timed)
        return handlers.withLock { handlers in
            if let timer = handlers.timers[key] { return timer }
            let key = MetricsMiddleware.bounded(key, by: handlers.timers.count)
            if let timer = handlers.timers[key] { return timer }
            let timer = Timer(
                label: "warren_job_duration_seconds",
                dimensions: key.dimensions,
                preferredDisplayUnit: .seconds,
                factory: factory
            )
            handlers.timers[key] = timer
            return timer
        }
    }

    private static func bounded(_ key: Key, by count: Int) -> Key {
        count < limit ? key : Key(job: "other", queue: key.queue, outcome: key.outcome)
    }
}
