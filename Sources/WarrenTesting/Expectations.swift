public import Testing
public import Warren

/// Expects jobs of a type to be enqueued on the test's bench, due now or later.
///
/// ```swift
/// try expectEnqueued(SendEmail.self) { $0.to == "ada@example.com" }
/// try expectEnqueued(SendEmail.self, count: 0)
/// ```
///
/// - Parameter type: The job's type.
/// - Parameter count: The expected number of jobs; `nil` for one or more.
/// - Parameter sourceLocation: The place to report a failure at.
/// - Parameter condition: The condition that a job must meet to match; all jobs match by default.
/// - Returns: The matching jobs, for checks of their lane or due time.
/// - Throws: `EnvelopeError` if a job of this name has another payload.
@discardableResult
public func expectEnqueued<Payload: Job>(
    _ type: Payload.Type,
    count: Int? = nil,
    sourceLocation: SourceLocation = #_sourceLocation,
    where condition: (Payload) throws -> Bool = { _ in true }
) throws -> [PendingJob<Payload>] {
    let bench = TestBench.current
    let all = try bench.enqueued(type)
    let matching = try all.filter { try condition($0.payload) }
    if count.map({ $0 == matching.count }) ?? !matching.isEmpty { return matching }
    let others = bench.waitingJobs().map(\.envelope.name)
    let names = Set(others).sorted().map { name in "\(others.count { $0 == name }) × '\(name)'" }
    Issue.record(
        """
        Expected \(count.map(String.init) ?? "at least one") job(s) '\(Payload.name)' to be enqueued, but \(matching.count) of \
        \(all.count) match. Enqueued are: \(names.isEmpty ? "none" : names.joined(separator: ", ")).
        \(all.map { "\($0.payload)" }.joined(separator: "\n"))
        """,
        sourceLocation: sourceLocation
    )
    return matching
}

/// Runs the jobs on the test's bench: those that are due and, moving the clock, delayed jobs and retries.
///
/// See ``TestBench/drainQueues(_:for:)``.
///
/// - Parameter time: The time to let pass; `nil` for as much as the jobs need.
/// - Parameter concurrency: The number of jobs to run at a time.
/// - Parameter middleware: The application's middleware.
/// - Parameter handlers: The handlers; their jobs' queues are drained.
/// - Returns: The counts of outcomes.
@discardableResult
public func drainQueues(
    for time: Duration? = nil,
    concurrency: Int = 1,
    middleware: [any JobMiddleware] = [],
    @HandlerBuilder handlers: () -> [JobRegistration]
) async throws -> WorkerCounts {
    let bench = TestBench.current
    let worker = bench.worker(concurrency: concurrency, middleware: middleware, handlers: handlers)
    return try await bench.drainQueues(worker, for: time)
}

/// Attempts a job once in the calling task, through the middleware, without enqueueing it.
///
/// See ``TestBench/performJob(_:attempt:headers:on:)``.
///
/// - Parameter job: The job.
/// - Parameter attempt: The number of the attempt that the handler sees, from 1.
/// - Parameter middleware: The application's middleware.
/// - Parameter handlers: The handlers, one of which is the job's.
/// - Returns: The outcome, with the error of the handler or middleware.
public func performJob<Payload: Job>(
    _ job: Payload,
    attempt: Int = 1,
    middleware: [any JobMiddleware] = [],
    @HandlerBuilder handlers: () -> [JobRegistration]
) async throws -> Attempt {
    let bench = TestBench.current
    return try await bench.performJob(
        job,
        attempt: attempt,
        on: bench.worker(middleware: middleware, handlers: handlers)
    )
}

/// The jobs on the test's bench that failed for good.
///
/// - Parameter queue: The queue; all queues by default.
public func deadLetters(of queue: QueueName? = nil) -> [DeadLetter] { TestBench.current.deadLetters(of: queue) }
