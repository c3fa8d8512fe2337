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
