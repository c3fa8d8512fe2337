import Synchronization

/// One attempt at a job: the middleware, and in it the handler.
struct JobExecution: Sendable {
    /// The first is the outermost.
    let middleware: [any JobMiddleware]

    /// Runs the handler, and says how it ended.
    func run(_ registration: JobRegistration, _ context: JobContext) async -> AttemptResult {
        do {
            if middleware.isEmpty {
                try await registration.run(context.envelope, context)
            } else {
                try await run(registration, context, within: middleware[...])
            }
            return .returned
        } catch let error as UndecodablePayload {
            return .undecodable(error.reason)
        } catch {
            // Only shutdown and time limits cancel a handler's task. What it throws then is not its own failure.
            return Task.isCancelled ? .interrupted : .threw(error)
        }
    }

    private func run(
        _ registration: JobRegistration,
        _ context: JobContext,
        within layers: ArraySlice<any JobMiddleware>
    ) async throws {
        guard let outermost = layers.first else { return try await registration.run(context.envelope, context) }
        try await outermost.execute(context) { next in
            try await run(registration, next, within: layers.dropFirst())
        }
    }
}

extension AttemptResult {
    /// The error that a failure record should tell of.
    var error: (any Error)? {
        switch self {
        case .threw(let error): error
        case .undecodable(let error): error
        case .deliveredTooOften(let loop): loop
        default: nil
        }
    }
}

/// Runs a handler within its time limits.
struct LimitedAttempt: Sendable {
    private enum Event: Sendable {
        case ended(AttemptResult)
        case limit
        /// A limit's clock was stopped.
        case stopped
    }

    let limits: TimeLimits
    let clock: any Clock<Duration>

    /// Runs `body`, whose task is cancelled at the soft limit, and returns how it ended.
    ///
    /// At the hard limit `body` is cancelled and `giveUp` is called; this still returns only when `body` does.
    func run(
        _ body: @escaping @Sendable () async -> AttemptResult,
        giveUp: @escaping @Sendable (JobTimeLimitExceeded) async -> Void
    ) async -> AttemptResult {
        guard let hard = limits.hard else { return await runToSoftLimit(body) }
        return await withTaskGroup(of: Event.self) { group in
            group.addTask { .ended(await runToSoftLimit(body)) }
            group.addTask { await wait(for: hard) }
            while let event = await group.next() {
                switch event {
                case .ended(let ending):
                    group.cancelAll()
                    return ending
                case .limit:
                    group.cancelAll()
                    await giveUp(.hard(hard))
                case .stopped: continue
                }
            }
            preconditionFailure("A handler's task returns how it ended.")
        }
    }

    private func runToSoftLimit(_ body: @escaping @Sendable () async -> AttemptResult) async -> AttemptResult {
        guard let soft = limits.soft else { return await body() }
        return await withTaskGroup(of: Event.self) { group in
            group.addTask { .ended(await body()) }
            group.addTask { await wait(for: soft) }
            var isOver = false
            while let event = await group.next() {
                switch event {
                case .ended(let ending):
                    group.cancelAll()
                    return isOver ? judge(ending, soft) : ending
                case .limit:
                    isOver = true
                    group.cancelAll()
                case .stopped: continue
                }
            }
            preconditionFailure("A handler's task returns how it ended.")
        }
    }

    /// What an ending after the soft limit means.
    private func judge(_ ending: AttemptResult, _ soft: Duration) -> AttemptResult {
        switch ending {
        case .threw, .interrupted: .threw(JobTimeLimitExceeded.soft(soft))
        default: ending
        }
    }

    private func wait(for limit: Duration) async -> Event {
        do {
            try await clock.sleep(for: limit)
            return .limit
        } catch {
            return .stopped
        }
    }
}

/// How a worker's dealings with one delivery ended: the fact that ``Outcome/decide(_:envelope:policy:expiryPolicy:now:using:)`` judges.
public enum AttemptResult: Sendable {
    /// The handler returned.
    case returned
    /// The handler, or a middleware, threw.
    case threw(any Error)
    /// The message or its payload can't be read; the handler was not called.
    case undecodable(EnvelopeError)
    /// No handler has the job's name.
    case unknownName
    /// The job had expired when its turn came.
    case expired
    /// The worker stops and did not start the job, or cancelled it at the end of its patience.
    case interrupted
    /// The job took its workers down so often that it is not started again.
    case deliveredTooOften(CrashHistory)
}
