import AMQP

extension JobClient {
    /// What sends the spooled jobs when the broker is back: put it into the program's `ServiceGroup`, or run it beside its work.
    ///
    /// Without it, or ``flushSpool(timeout:)``, they stay in the file.
    public var replayer: SpoolReplayer { SpoolReplayer(self) }

    /// Sends what is in the spool, and returns when all of it is at the broker; for programs that run no ``replayer``, and before their end.
    ///
    /// - Parameter timeout: How long to try.
    /// - Throws: ``WarrenError`` with `notEnqueued` if jobs are left when it has passed: they stay in the spool; `CancellationError`.
    public func flushSpool(timeout: Duration = JobClient.defaultTimeout) async throws {
        guard let spool else { return }
        let latest = Timing.instant(after: timeout)
        var backoff = Backoff(from: .milliseconds(50), to: .seconds(1))
        while spool.hasWaiting {
            try Task.checkCancellation()
            let replay = SpoolReplay(self, spool, stopping: Latch(), clock: clock, deadline: latest)
            guard let problem = await replay.run() else { continue }
            guard ContinuousClock.now < latest else {
                throw WarrenError(
                    .notEnqueued,
                    "\(spool.status.waiting) jobs still wait in the spool '\(spool.path)': the broker did not take them in time",
                    underlying: (problem as? WarrenError)?.broker ?? problem
                )
            }
            try await clock.sleep(for: min(backoff.next(), ContinuousClock.now.duration(to: latest)))
        }
    }

    /// Sends a job, or spools it if the broker can't take it now: the whole within the request's deadline.
    ///
    /// Returns whether it was spooled.
    func sendOrSpool(_ entry: SpoolEntry, deadline: ContinuousClock.Instant) async throws -> Bool {
        guard let spool else {
            try await send(entry, deadline: deadline)
            return false
        }
        // A job that no broker could take is the caller's to know, not the spool's to keep.
        try directory.check(entry.queue, entry.lane)
        // The disk gets what it needs, also on a busy machine; if it is slower, it gets a little more than the caller asked for.
        let left = max(.zero, ContinuousClock.now.duration(to: deadline))
        let reserve = min(Self.reserveForDisk, left / 4)
        var cause: AMQPError?
        if !spool.hasWaiting {
            do {
                try await send(entry, deadline: deadline - reserve)
                return false
            } catch let error as WarrenError {
                guard let broker = error.broker, broker.isRetriable else { throw error }
                cause = broker
            }
        }
        try await spool.append(entry, cause: cause, deadline: deadline + Self.graceForDisk, clock: clock)
        return true
    }

    private static let reserveForDisk: Duration = .milliseconds(200)
    private static let graceForDisk: Duration = .milliseconds(25)
}
