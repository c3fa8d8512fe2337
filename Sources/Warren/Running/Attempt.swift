/// The result of a worker's work on one delivery: the fact by which
/// ``Outcome/decide(_:envelope:policy:expiryPolicy:now:using:)`` decides.
package enum AttemptResult: Sendable {
    /// The handler returned.
    case returned
    /// The handler, or a middleware, threw.
    case threw(any Error)
    /// The message or its payload can't be read; the handler was not called.
    case undecodable(EnvelopeError)
    /// No handler has the job's name.
    case unknownName
    /// The job had expired before it could start.
    case expired
    /// The worker is stopping: it didn't start the job, or cancelled it at the end of the shutdown timeout.
    case interrupted
    /// The job was running each time when too many processes ended, so it isn't started again.
    case crashedTooOften(CrashHistory)

    /// The error for the failure record.
    var error: (any Error)? {
        switch self {
        case .threw(let error): error
        case .undecodable(let error): error
        case .crashedTooOften(let history): history
        case .returned, .unknownName, .expired, .interrupted: nil
        }
    }
}

/// One attempt at a job: its handler, inside the middleware and within its time limits.
struct Attempt: Sendable {
    private let registration: JobRegistration
    private let context: JobContext
    /// The first is the outermost.
    private let middleware: [any JobMiddleware]

    init(_ registration: JobRegistration, _ context: JobContext, middleware: [any JobMiddleware]) {
        self.registration = registration
        self.context = context
        self.middleware = middleware
    }

    /// Runs the handler and returns how it ended.
    func run() async -> AttemptResult {
        do {
            if middleware.isEmpty {
                try await registration.run(context.envelope, context)
            } else {
                try await run(context, inside: middleware[...])
            }
            return .returned
        } catch let error as UndecodablePayload {
            return .undecodable(error.reason)
        } catch {
            // Only shutdown and time limits cancel a handler's task, so an error thrown after that isn't the job's own
            // failure.
            return Task.isCancelled ? .interrupted : .threw(error)
        }
    }

    private func run(_ context: JobContext, inside layers: ArraySlice<any JobMiddleware>) async throws {
        guard let outermost = layers.first else { return try await registration.run(context.envelope, context) }
        try await outermost.execute(context) { next in
            try await run(next, inside: layers.dropFirst())
        }
    }
}

// MARK: Time limits

extension Attempt {
    private enum Event: Sendable {
        case ended(AttemptResult)
        case limitReached
        case timerCancelled
    }

    /// Runs the handler, cancels it at the soft limit, and returns how it ended.
    ///
    /// At the hard limit the handler is cancelled and `giveUp` is called; the function still returns only when the
    /// handler does.
    func run(
        within limits: TimeLimits,
        clock: any Clock<Duration>,
        giveUp: @escaping @Sendable (JobTimeLimitExceeded) async -> Void
    ) async -> AttemptResult {
        guard let hard = limits.hard else { return await run(toSoftLimit: limits.soft, clock: clock) }
        return await withTaskGroup(of: Event.self) { group in
            group.addTask { .ended(await run(toSoftLimit: limits.soft, clock: clock)) }
            group.addTask { await timer(hard, clock) }
            while let event = await group.next() {
                switch event {
                case .ended(let result):
                    group.cancelAll()
                    return result
                case .limitReached:
                    group.cancelAll()
                    await giveUp(.hard(hard))
                case .timerCancelled: continue
                }
            }
            preconditionFailure("A handler's task always reports how it ended.")
        }
    }

    private func run(toSoftLimit soft: Duration?, clock: any Clock<Duration>) async -> AttemptResult {
        guard let soft else { return await run() }
        return await withTaskGroup(of: Event.self) { group in
            group.addTask { .ended(await run()) }
            group.addTask { await timer(soft, clock) }
            var isPastLimit = false
            while let event = await group.next() {
                switch event {
                case .ended(let result):
                    group.cancelAll()
                    return isPastLimit ? lateResult(result, soft) : result
                case .limitReached:
                    isPastLimit = true
                    group.cancelAll()
                case .timerCancelled: continue
                }
            }
            preconditionFailure("A handler's task always reports how it ended.")
        }
    }

    /// The result of a handler that ended after its soft limit: an error it threw is the limit's doing, a return still
    /// counts.
    private func lateResult(_ result: AttemptResult, _ soft: Duration) -> AttemptResult {
        switch result {
        case .threw, .interrupted: .threw(JobTimeLimitExceeded.soft(soft))
        default: result
        }
    }

    private func timer(_ limit: Duration, _ clock: any Clock<Duration>) async -> Event {
        do {
            try await clock.sleep(for: limit)
            return .limitReached
        } catch {
            return .timerCancelled
        }
    }
}
