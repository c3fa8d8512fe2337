import AMQP
import Logging
public import ServiceLifecycle

/// Sends what is in a client's ``Spool`` to the broker, as long as it runs.
///
/// Put it into the program's `ServiceGroup`. A program without one runs it beside its own work, in one line:
/// ```swift
/// async let _ = jobs.replayer.run()
/// ```
///
/// Jobs are sent in the order in which they were spooled, up to 64 of them before the first is confirmed; with growing pauses of at
/// most a second while the broker is away. What the broker refuses for good (no such exchange, nobody may publish there, too large) is
/// moved to the file of the rejected, told as a warning and counted, and holds nothing up. What may succeed later holds up what is
/// behind it, also for other queues.
///
/// Without a spool it does nothing until it is told to stop.
public final class SpoolReplayer: Service {
    private let client: JobClient
    private let clock: any Clock<Duration>

    init(_ client: JobClient, clock: any Clock<Duration> = ContinuousClock()) {
        self.client = client
        self.clock = clock
    }

    /// Sends what is spooled and what will be, until graceful shutdown or cancellation.
    ///
    /// At graceful shutdown it waits at most two seconds for the confirms of what it has sent. What remains is sent by the next process
    /// that opens the spool.
    public func run() async throws {
        let stopping = Latch()
        await withGracefulShutdownHandler {
            if let spool = client.spool {
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
            let replay = SpoolReplay(client, spool, stopping: stopping, clock: clock)
            let before = spool.status
            guard let problem = await replay.run() else {
                backoff.reset()
                isPaused = false
                continue
            }
            let after = spool.status
            if after.replayed > before.replayed || after.rejected > before.rejected { backoff.reset() }
            if !isPaused, !stopping.isOpen, !Task.isCancelled {
                spool.logger.warning(
                    "The spool's replay waits, and tries again",
                    metadata: [LogKey.path: "\(spool.path)", LogKey.reason: "\(problem)"]
                )
                isPaused = true
            }
            if await stopping.wait(for: backoff.next(), clock: clock) { return }
        }
    }
}
