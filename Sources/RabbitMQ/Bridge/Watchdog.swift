import AMQP
import Synchronization

#if canImport(Darwin)
import Darwin
#else
import Glibc
#endif

/// Keeps an eye on the connection threads that have work: a thread that is stuck in a call can't watch deadlines itself.
///
/// librabbitmq's calls wait without limit for a peer that takes no bytes, and connecting takes as long as its time limits. Meanwhile this
/// one thread for the whole process fails the publishes whose deadlines pass, and shuts down a socket that has been stuck for too long, so
/// that the call returns with an error. It sleeps while no connection has work.
final class Watchdog: Sendable {
    /// How often it looks.
    private static let interval = Duration.milliseconds(20)

    /// The process's one; `nil` if the system had no thread or file descriptor left for it.
    static let shared: Watchdog? = try? Watchdog()

    private let threads = Mutex<[ConnectionThread]>([])
    private let wakeUp: WakeUp

    private init() throws(AMQPError) {
        wakeUp = try WakeUp()
        try ThreadBody { [self] in run() }.start()
    }

    /// Looks after a thread until it says that it has been idle for a while.
    func watch(_ thread: ConnectionThread) {
        threads.withLock { $0.append(thread) }
        wakeUp.signal()
    }

    private func run() {
        while true {
            let watched = threads.withLock(\.self)
            _ = wakeUp.sleep(orUntilReadable: nil, timeout: watched.isEmpty ? nil : Self.interval)
            for thread in watched where !thread.inspect(at: .now) {
                threads.withLock { $0.removeAll { $0 === thread } }
            }
        }
    }
}

/// What the watchdog knows of a publish: enough to fail it, without keeping its message.
struct WatchedPublish: Sendable {
    var deadline: ContinuousClock.Instant
    var reply: Reply<Void>
    var destination: Destination

    /// Fails it: its deadline has passed, and the connection's thread can't see to it.
    func expire() {
        let error =
            reply.isMarked
            ? AMQPError(
                .confirmTimedOut,
                """
                The broker did not confirm the message to \(destination) by the deadline, and takes nothing on this connection. It may \
                have taken it: publishing again can make a duplicate.
                """
            )
            : AMQPError(
                .deadlineExceeded,
                "The deadline passed before the message to \(destination) was sent: the broker takes nothing, or can't be reached."
            )
        reply.finish(.failure(error))
    }
}

/// The publishes of a connection that may still be waiting, as the watchdog needs them.
struct WatchedPublishes {
    private var entries: [WatchedPublish] = []
    /// At which size those that are done are thrown out.
    private var sweepAt = 1024

    var isEmpty: Bool { entries.isEmpty }

    mutating func add(_ publish: PendingPublish) {
        entries.append(
            WatchedPublish(deadline: publish.deadline, reply: publish.reply, destination: publish.destination)
        )
        if entries.count >= sweepAt { sweep() }
    }

    /// Throws out those that are done.
    mutating func sweep() {
        entries.removeAll { $0.reply.isDone }
        sweepAt = max(1024, 2 * entries.count)
    }

    /// Those whose deadlines have passed.
    mutating func takeLate(at now: ContinuousClock.Instant) -> [WatchedPublish] {
        sweep()
        let late = entries.filter { $0.deadline <= now }
        if !late.isEmpty { entries.removeAll { $0.deadline <= now } }
        return late
    }
}
