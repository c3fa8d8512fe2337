import AMQP
public import ServiceLifecycle

/// A service that sends the jobs in a client's ``Spool`` to the broker.
///
/// Add it to the program's `ServiceGroup`. A program without one runs it beside its own work, in one line:
/// ```swift
/// async let _ = jobs.replayer.run()
/// ```
///
/// Jobs are sent in the order in which they were spooled, up to 64 of them before the first is confirmed. While the
/// broker is away, the replayer tries again after growing pauses of at most a second. A job that the broker refuses for
/// good (no such exchange, no permission, too large) is moved to the file of rejected jobs, counted, and logged as a
/// warning; it doesn't hold up others. A job that may succeed later holds up the jobs behind it, also those for other
/// queues.
///
/// Without a spool it does nothing until it is stopped.
public final class SpoolReplayer: Service {
    private let spool: Spool?
    private let broker: BrokerPublisher
    private let clock: any Clock<Duration>

    init(_ client: JobClient, clock: any Clock<Duration> = ContinuousClock()) {
        spool = client.spool
        broker = client.broker
        self.clock = clock
    }

    /// Sends jobs as they are spooled, until graceful shutdown or cancellation.
    ///
    /// At graceful shutdown it waits at most two seconds for the confirms of the jobs it has sent. The next process
    /// that opens the spool sends the rest.
    public func run() async throws {
        let stopping = Latch()
        await withGracefulShutdownHandler {
            if let spool {
                spool.countReplayers(by: 1)
                await replay(spool, until: stopping)
                spool.countReplayers(by: -1)
            } else {
                await stopping.wait()
            }
        } onGracefulShutdown: {
            stopping.open()
        }
    }

    private func replay(_ spool: Spool, until stopping: Latch) async {
        var backoff = Backoff(from: .milliseconds(50), to: .seconds(1))
        var isPaused = false
        while !stopping.isOpen, !Task.isCancelled {
            await withDiscardingTaskGroup { group in
                let notEmpty = Latch()
                group.addTask {
                    await spool.untilNotEmpty()
                    notEmpty.open()
                }
                _ = await notEmpty.wait(for: .seconds(31_556_952), clock: clock, unless: stopping)
                group.cancelAll()
            }
            if stopping.isOpen || Task.isCancelled { return }
            let replay = SpoolReplay(spool, to: broker, stopping: stopping, clock: clock)
            let before = spool.status
            guard let problem = await replay.run() else {
                backoff.reset()
                isPaused = false
                continue
            }
            let after = spool.status
            if after.replayed > before.replayed || after.rejected > before.rejected { backoff.reset() }
            if !isPaused, !stopping.isOpen, !Task.isCancelled {
                spool.logReplayPaused(problem)
                isPaused = true
            }
            if await stopping.wait(for: backoff.next(), clock: clock) { return }
        }
    }
}

/// One pass over a spool: sends its jobs until none is left or the broker takes no more.
struct SpoolReplay: Sendable {
    /// The number of jobs that are sent before the first is confirmed, and of their bytes in memory.
    private static let window = (count: 64, bytes: 4 << 20)
    /// The timeout of one publish.
    ///
    /// It is long because, while the broker is away, the transport's own recovery is quicker than a new attempt here.
    private static let publishTimeout: Duration = .seconds(30)
    /// The time for which shutdown waits for confirms.
    private static let shutdownGrace: Duration = .seconds(2)

    private enum PublishResult: Sendable {
        case confirmed
        /// The broker will never take it, or the topology doesn't have its queue.
        case refused(reason: String)
        /// It may be taken later.
        case failed(any Error)
    }

    private let spool: Spool
    private let broker: BrokerPublisher
    private let stopping: Latch
    private let clock: any Clock<Duration>
    private let deadline: ContinuousClock.Instant?

    /// - Parameter deadline: The time at which to stop sending; `nil` for never.
    init(
        _ spool: Spool,
        to broker: BrokerPublisher,
        stopping: Latch,
        clock: any Clock<Duration>,
        deadline: ContinuousClock.Instant? = nil
    ) {
        self.spool = spool
        self.broker = broker
        self.stopping = stopping
        self.clock = clock
        self.deadline = deadline
    }

    /// Sends the jobs in a spool until it is empty.
    ///
    /// - Throws: ``WarrenError`` with `notEnqueued` if jobs are left when the time has passed; `CancellationError`.
    static func flush(
        _ spool: Spool,
        to broker: BrokerPublisher,
        timeout: Duration,
        clock: any Clock<Duration>
    ) async throws {
        let latest = Deadline.instant(after: timeout)
        var backoff = Backoff(from: .milliseconds(50), to: .seconds(1))
        while spool.hasWaiting {
            try Task.checkCancellation()
            let replay = SpoolReplay(spool, to: broker, stopping: Latch(), clock: clock, deadline: latest)
            guard let problem = await replay.run() else { continue }
            guard ContinuousClock.now < latest else {
                throw WarrenError(
                    .notEnqueued,
                    """
                    \(spool.status.waiting) jobs still wait in the spool '\(spool.path)': the broker did not take \
                    them in time.
                    """,
                    underlying: (problem as? WarrenError)?.broker ?? problem
                )
            }
            try await clock.sleep(for: min(backoff.next(), ContinuousClock.now.duration(to: latest)))
        }
    }

    /// Sends jobs, and returns the problem for which it had to pause; `nil` if the spool is empty or it was stopped.
    func run() async -> (any Error)? {
        await withTaskGroup(of: (isReplay: Bool, problem: (any Error)?).self) { group in
            group.addTask {
                do {
                    return (true, try await spool.replaying.withLock { try await runExclusively() })
                } catch {
                    return (true, error)
                }
            }
            group.addTask {
                await stopping.wait()
                try? await clock.sleep(for: Self.shutdownGrace)
                return (false, nil)
            }
            var problem: (any Error)?
            for await ended in group {
                group.cancelAll()
                if ended.isReplay { problem = ended.problem }
            }
            return problem
        }
    }

    private func runExclusively() async throws -> (any Error)? {
        // One job first finds out whether the broker is there, before many wait for it together.
        var window = 1
        while !stopping.isOpen, !Task.isCancelled {
            let batch = try await spool.next(window, bytes: Self.window.bytes)
            if batch.isEmpty { return nil }
            if let problem = await settle(batch, send(batch)) { return problem }
            window = Self.window.count
        }
        return nil
    }

    private func settle(
        _ batch: [(sequence: UInt64, payload: [UInt8])],
        _ outcomes: [UInt64: PublishResult]
    ) async -> (any Error)? {
        var settled: Set<UInt64> = []
        var replayed = 0
        var problem: (any Error)?
        for (sequence, payload) in batch {
            switch outcomes[sequence] {
            case .confirmed:
                settled.insert(sequence)
                replayed += 1
            case .refused(let reason):
                do {
                    try await spool.reject(payload, reason: reason)
                    settled.insert(sequence)
                    spool.logRejected(payload, reason)
                } catch {
                    problem = problem ?? error
                }
            case .failed(let error): problem = problem ?? error
            case nil: break
            }
        }
        await spool.settle(settled, replayed: replayed)
        return problem
    }

    /// Sends jobs in order, each without waiting for the one before it.
    ///
    /// Jobs behind one that can't be prepared have no result.
    private func send(_ batch: [(sequence: UInt64, payload: [UInt8])]) async -> [UInt64: PublishResult] {
        let latest = ContinuousClock.now + Self.publishTimeout
        let deadline = min(deadline ?? latest, latest)
        return await withTaskGroup(of: (UInt64, PublishResult).self) { group in
            var outcomes: [UInt64: PublishResult] = [:]
            for (sequence, payload) in batch {
                let entry: SpoolEntry
                do {
                    entry = try SpoolEntry(decoding: payload)
                    // Declaring here means not waiting below, where the job would lose its place in the order.
                    try await broker.prepare(entry.route, deadline: deadline)
                } catch {
                    let outcome = Self.outcome(of: error)
                    outcomes[sequence] = outcome
                    if case .refused = outcome { continue }
                    break
                }
                if #available(macOS 26, *) {
                    // Runs at once up to its first suspension, which comes after the connection took the message; so
                    // the messages have the order of the jobs.
                    group.addImmediateTask { (sequence, await send(entry, deadline)) }
                } else {
                    outcomes[sequence] = await send(entry, deadline)
                }
            }
            for await (sequence, outcome) in group { outcomes[sequence] = outcome }
            return outcomes
        }
    }

    private func send(_ entry: SpoolEntry, _ deadline: ContinuousClock.Instant) async -> PublishResult {
        do {
            _ = try await broker.publish(entry.message, along: entry.route, deadline: deadline)
            return .confirmed
        } catch {
            return Self.outcome(of: error)
        }
    }

    private static func outcome(of error: any Error) -> PublishResult {
        switch error {
        // The entry can't be decoded.
        case let error as AMQPError: .refused(reason: "\(error)")
        case let error as WarrenError where isFinal(error): .refused(reason: "\(error)")
        default: .failed(error)
        }
    }

    /// Returns whether the error is about the job, and not about the connection to the broker, which an operator can
    /// repair.
    private static func isFinal(_ error: WarrenError) -> Bool {
        guard let broker = error.broker else { return true }
        let connectionErrors: Set<AMQPError.Code> = [
            .invalidURL, .tlsFailed, .authenticationFailed, .virtualHostRefused, .cancelled, .closed,
        ]
        return !broker.isRetriable && !connectionErrors.contains(broker.code)
    }
}
