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
