public import AMQP

/// Where a broker's changes are kept, so that they survive its process.
///
/// Changes come in their order. Those of one call belong together: all of them are kept, or none.
public protocol BrokerJournal: Sendable {
    /// Takes changes to be kept; returns a number for ``isKept(_:until:)``.
    ///
    /// The broker calls this under its lock: it only puts them into a buffer.
    func append(_ changes: [BrokerChange]) -> UInt64

    /// Returns when the changes of a number, and all before, can't be lost any more.
    ///
    /// A publish is confirmed, and a declaration answered, only after that.
    ///
    /// - Parameter deadline: When to give up; `nil` for never.
    /// - Throws: Why they can't be kept; `confirmTimedOut` after the deadline, `cancelled` if the task is cancelled.
    func isKept(_ number: UInt64, until deadline: ContinuousClock.Instant?) async throws(AMQPError)

    /// Keeps what is still in the buffer and gives its place up for others; what is appended later is not kept.
    func close() async
}
