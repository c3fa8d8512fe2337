import RabbitMQ
import Warren

extension JobWorkload {
    /// Runs what was enqueued before, in one worker, each job acknowledged when its handler has returned.
    func execute() async throws -> Figure {
        try await prepare()
        try await enqueueAll()
        let start = Stopwatch()
        let end = try await work(untilHandled: count) { _ in }
        try await finish(mayLeave: false)
        return Figure(.execute, count: count, from: start, to: end)
    }

    /// Runs a worker until its handler was called so many times, and tells when that was.
    func work(
        untilHandled count: Int,
        concurrency: Int = Load.callers,
        beside other: @escaping @Sendable () async throws -> Void = {},
        handle: @escaping @Sendable (NoOp) -> Void
    ) async throws -> Stopwatch {
        let countdown = Countdown(from: count)
        let worker = Worker(
            client,
            queues: [WorkerQueue(NoOp.queue, concurrency: concurrency, prefetch: Load.prefetch)],
            topology: topology,
            settings: WorkerSettings(declaresTopology: false),
            logger: logger
        ) {
            Handler(NoOp.self) { job, _ in
                handle(job)
                countdown.countOne()
            }
        }
        return try await withThrowingTaskGroup(of: Stopwatch?.self) { group in
            group.addTask {
                try await worker.run()
                return nil
            }
            group.addTask {
                try await other()
                await countdown.reached()
                return Stopwatch()
            }
            guard let end = try await group.next() ?? nil else { throw LoadError("The worker ended by itself.") }
            group.cancelAll()
            try await group.waitForAll()
            return end
        }
    }
}
