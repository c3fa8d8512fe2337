import AMQP

#if canImport(Darwin)
import Darwin
#else
import Glibc
#endif

/// A pipe on whose one end a thread can sleep, together with a socket, and by whose other end other threads wake it.
final class WakeUp: Sendable {
    private let readEnd: Int32
    private let writeEnd: Int32

    init() throws(AMQPError) {
        var ends: [Int32] = [0, 0]
        guard unsafe pipe(&ends) == 0 else {
            throw AMQPError(
                .connectionFailed,
                "The system has no file descriptor left for a connection (errno \(errno)): raise the limit, or close some."
            )
        }
        for end in ends {
            _ = fcntl(end, F_SETFL, O_NONBLOCK)
            _ = fcntl(end, F_SETFD, FD_CLOEXEC)
        }
        (readEnd, writeEnd) = (ends[0], ends[1])
    }

    deinit {
        close(readEnd)
        close(writeEnd)
    }

    /// Wakes the sleeper, now or when it next goes to sleep.
    ///
    /// A full pipe wakes it already, so that is no error.
    func signal() {
        var one: UInt8 = 1
        _ = unsafe write(writeEnd, &one, 1)
    }

    /// Sleeps until `socket` can be read, ``signal()`` is called, or the time is up; `nil` is for ever.
    ///
    /// May end early, as when a Unix signal interrupts it. Returns whether the socket can be read, or is at its end.
    func sleep(orUntilReadable socket: Int32?, timeout: Duration?) -> Bool {
        var descriptors = [pollfd(fd: readEnd, events: Int16(POLLIN), revents: 0)]
        if let socket { descriptors.append(pollfd(fd: socket, events: Int16(POLLIN), revents: 0)) }
        _ = unsafe poll(&descriptors, nfds_t(descriptors.count), timeout?.wholeMillisecondsRoundedUp ?? -1)
        if descriptors[0].revents != 0 { takeSignals() }
        return socket != nil && descriptors[1].revents != 0
    }

    private func takeSignals() {
        var signals = [UInt8](repeating: 0, count: 64)
        while unsafe read(readEnd, &signals, signals.count) == signals.count {}
    }
}

extension Duration {
    /// Whole milliseconds, rounded up so that a sleep is never too short, and at most a day.
    fileprivate var wholeMillisecondsRoundedUp: Int32 {
        let (seconds, attoseconds) = components
        guard seconds >= 0, attoseconds >= 0 else { return 0 }
        guard seconds < 86_400 else { return 86_400_000 }
        return Int32(seconds) * 1000 + Int32((attoseconds + 999_999_999_999_999) / 1_000_000_000_000_000)
    }
}
