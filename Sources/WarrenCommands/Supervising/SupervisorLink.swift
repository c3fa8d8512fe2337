import Dispatch

/// What a supervised process has of its supervisor: standard input, whose end means that it is to stop in order.
///
/// The end also comes when the supervisor was killed, so no process outlives it for long. It isn't counted as a signal, so that a
/// service manager that signals all processes of a service at once isn't taken for one that signals twice.
struct SupervisorLink: Sendable {
    /// Waits for the end, or until the task is cancelled.
    ///
    /// True if it has come.
    func untilEnd() async -> Bool {
        let (ends, feed) = AsyncStream.makeStream(of: Void.self)
        let source = DispatchSource.makeReadSource(fileDescriptor: 0)
        // A supervisor writes nothing, so what can be read is the end.
        source.setEventHandler { feed.yield() }
        source.activate()
        defer { source.cancel() }
        for await _ in ends { return true }
        return false
    }
}
