import AMQP
import Synchronization

#if canImport(Darwin)
import Darwin
#else
import Glibc
#endif

/// Watches the connection threads that have work, since a thread that is stuck in a call can't watch deadlines itself.
///
/// librabbitmq's calls wait without limit for a peer that accepts no bytes, and connecting takes as long as its time
/// limits. While a thread is stuck, this one thread for the whole process fails the publishes whose deadlines pass, and
/// shuts down a socket that has been stuck too long, so that the call returns with an error. It sleeps while no
/// connection has work.
final class Watchdog: Sendable {
    /// The time between two inspections.
    private static let interval = Duration.milliseconds(20)

    /// The watchdog of the process; `nil` if the system had no thread or file descriptor left for it.
    static let shared: Watchdog? = try? Watchdog()

    private let threads = Mutex<[ConnectionThread]>([])
    private let wakeUp: WakeUp

    private init() throws(AMQPError) {
        wakeUp = try WakeUp()
        try ThreadBody { [self] in run() }.start()
    }

    /// Watches a thread until it reports that it has been idle for a while.
    func watch(_ thread: ConnectionThread) {
        threads.withLock { $0.append(thread) }
        wakeUp.signal()
    }

    private func run() {
        while true {
            let watched = threads.withLock(\.self)
            _ = wakeUp.sleep(orUntilReadable: nil, timeout: watched.isEmpty ? nil : Self.interval)
            for thread in watched where !thread.inspect(at: .now) {
                // Only one entry: a thread that got work since its inspection has added itself again.
                threads.withLock { threads in
                    if let index = threads.firstIndex(where: { $0 === thread }) { threads.remove(at: index) }
                }
            }
        }
    }
}

/// A closure that a new thread runs.
final class ThreadBody: Sendable {
    private let run: @Sendable () -> Void

    init(_ run: @escaping @Sendable () -> Void) { self.run = run }

    /// The stack of a thread, in bytes.
    ///
    /// librabbitmq decodes nested tables by recursion, and a frame can be nested 26,000 levels deep. That takes 2 to 3
    /// MiB of stack, more in a build with checks, while macOS gives a thread 512 KiB and a shell's `ulimit -s` may be
    /// as small.
    private static let stackSize = 16 << 20

    /// Starts a detached thread that runs the closure.
    ///
    /// The thread takes over the one reference that `passRetained` makes; if it can't be started, the reference is
    /// released here.
    func start() throws(AMQPError) {
        let context = unsafe Unmanaged.passRetained(self)
        var attributes = pthread_attr_t()
        unsafe pthread_attr_init(&attributes)
        unsafe pthread_attr_setstacksize(&attributes, Self.stackSize)
        defer { unsafe pthread_attr_destroy(&attributes) }
        #if canImport(Darwin)
        var thread: pthread_t?
        let result = unsafe pthread_create(&thread, &attributes, { unsafe ThreadBody.enter($0) }, context.toOpaque())
        if let thread = unsafe thread { unsafe pthread_detach(thread) }
        #else
        var thread = pthread_t()
        let result = unsafe pthread_create(&thread, &attributes, { unsafe ThreadBody.enter($0) }, context.toOpaque())
        if result == 0 { pthread_detach(thread) }
        #endif
        guard result == 0 else {
            unsafe context.release()
            throw AMQPError(
                .connectionFailed,
                "The system refuses to start a thread for a connection (error \(result)): raise the limit, or close some."
            )
        }
    }

    private static func enter(_ context: UnsafeMutableRawPointer?) -> UnsafeMutableRawPointer? {
        if let context = unsafe context { unsafe Unmanaged<ThreadBody>.fromOpaque(context).takeRetainedValue().run() }
        return nil
    }
}
