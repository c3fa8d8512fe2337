public import Testing
public import Warren

/// Expects that jobs of a kind are enqueued on the test's bench, due now or later.
///
/// ```swift
/// try expectEnqueued(SendEmail.self) { $0.to == "ada@example.com" }
/// try expectEnqueued(SendEmail.self, count: 0)
/// ```
///
/// Returns those that are meant, for a closer look: their lane, when they are due.
///
/// - Parameter count: How many; `nil` for one or more.
/// - Parameter condition: Which are meant; all by default.
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
    let meant = try all.filter { try condition($0.payload) }
    if count.map({ $0 == meant.count }) ?? !meant.isEmpty { return meant }
    let others = bench.waiting().map(\.envelope.name)
    let names = Set(others).sorted().map { name in "\(others.count { $0 == name }) × '\(name)'" }
    Issue.record(
        """
        Expected \(count.map(String.init) ?? "at least one") job(s) '\(Payload.name)' to be enqueued, and \(meant.count) of \(all.count) are as \
        meant. Enqueued are: \(names.isEmpty ? "none" : names.joined(separator: ", ")).
        \(all.map { "\($0.payload)" }.joined(separator: "\n"))
        """,
        sourceLocation: sourceLocation
    )
    return meant
}

/// Runs the jobs of the test's bench: all that are due, and as the clock moves on, the delayed ones and the retries.
///
/// See ``TestBench/drainQueues(_:for:)``.
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

/// The jobs of the test's bench that could not succeed.
public func deadLetters(of queue: QueueName? = nil) -> [DeadLetter] { TestBench.current.deadLetters(of: queue) }
