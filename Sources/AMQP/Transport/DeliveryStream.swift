import Synchronization

/// The deliveries of one consumer, in the order the broker sent them.
///
/// After ``cancel()`` the stream ends once all deliveries that had arrived have been read. It throws if the broker
/// cancels the consumer or closes its channel. If the transport recovers a lost connection, the stream continues;
/// earlier deliveries are lost (``Delivery/isLost``) and are delivered again. The prefetch bounds the number of
/// deliveries that wait here: the broker sends no more until some are settled. A prefetch of zero sets no bound.
///
/// A stream has one reading task. Transports pass deliveries in batches, so most calls of `next()` neither suspend nor
/// lock.
public final class DeliveryStream: AsyncSequence, Sendable {
    /// A delivery.
    public typealias Element = Delivery
    /// The error that can end the stream early.
    public typealias Failure = AMQPError

    /// The transport's actions for ending a consumer.
    public struct Control: Sendable {
        /// Asks the broker for no more deliveries; those that arrived can still be settled.
        public var cancel: @Sendable () async -> Void
        /// Closes the consumer's channel: the broker requeues unsettled deliveries.
        public var close: @Sendable () async -> Void

        /// Creates a control from its two actions.
        public init(cancel: @escaping @Sendable () async -> Void, close: @escaping @Sendable () async -> Void) {
            self.cancel = cancel
            self.close = close
        }
    }

    private struct State {
        var waiting: [Delivery] = []
        var reader: CheckedContinuation<Wake, Never>?
        var end: Result<Void, AMQPError>?
        var isRegistered = true
    }

    private enum Wake {
        case read
        case cancelled
    }

    private let state = Mutex(State())
    private let control: Control

    /// Creates a stream that a transport feeds with ``yield(_:)`` and ends with ``finish(throwing:)``.
    public init(control: Control) {
        self.control = control
    }

    /// True while the consumer is registered at the broker: false after the stream's end, and while a transport
    /// recovers a lost connection.
    public var isRegistered: Bool { state.withLock { $0.isRegistered && $0.end == nil } }

    /// Sets whether the consumer is registered at the broker, for transports that recover.
    ///
    /// Setting it to false drops the deliveries that have not been read: the broker delivers them again.
    public func setRegistered(_ isRegistered: Bool) {
        state.withLock { state in
            state.isRegistered = isRegistered
            if !isRegistered { state.waiting = [] }
        }
    }

    /// Asks the broker for no more deliveries.
    ///
    /// The stream ends once all deliveries that had arrived have been read; they can still be settled.
    public func cancel() async { await control.cancel() }

    /// Ends the consumer and closes its channel.
    ///
    /// The broker requeues unsettled deliveries.
    public func close() async { await control.close() }

    /// Creates the iterator; a stream has one reader.
    public func makeAsyncIterator() -> Iterator { Iterator(stream: self) }

    /// Passes deliveries to the reader, for transports.
    public func yield(_ deliveries: [Delivery]) {
        let reader = state.withLock { state in
            guard state.end == nil else { return nil as CheckedContinuation<Wake, Never>? }
            if state.waiting.isEmpty { state.waiting = deliveries } else { state.waiting += deliveries }
            return state.reader.take()
        }
        reader?.resume(returning: .read)
    }

    /// Ends the stream once the deliveries passed before have been read, for transports; only the first call counts.
    public func finish(throwing error: AMQPError? = nil) {
        let reader = state.withLock { state in
            if state.end == nil { state.end = error.map(Result.failure) ?? .success(()) }
            return state.reader.take()
        }
        reader?.resume(returning: .read)
    }

    /// Returns all waiting deliveries; suspends until there is at least one.
    ///
    /// An empty array means the stream has ended, or the reading task was cancelled.
    public func nextBatch() async throws(AMQPError) -> [Delivery] {
        while true {
            let (batch, end) = state.withLock { state in
                let batch = state.waiting
                state.waiting = []
                return (batch, batch.isEmpty ? state.end : nil)
            }
            if !batch.isEmpty { return batch }
            if let end {
                try end.get()
                return []
            }
            if await waitForMore() == .cancelled { return [] }
        }
    }

    private func waitForMore() async -> Wake {
        await withTaskCancellationHandler {
            await withCheckedContinuation { continuation in
                let wake: Wake? = state.withLock { state in
                    if Task.isCancelled { return .cancelled }
                    if !state.waiting.isEmpty || state.end != nil { return .read }
                    precondition(state.reader == nil, "A DeliveryStream has one reader; a second one began to read.")
                    state.reader = continuation
                    return nil
                }
                if let wake { continuation.resume(returning: wake) }
            }
        } onCancel: {
            state.withLock { $0.reader.take() }?.resume(returning: .cancelled)
        }
    }

    /// The iterator of a ``DeliveryStream``.
    public struct Iterator: AsyncIteratorProtocol {
        private let stream: DeliveryStream
        /// The unread deliveries of a batch in reverse order: removing an array's last element moves it and copies
        /// nothing.
        private var batch: [Delivery] = []

        init(stream: DeliveryStream) { self.stream = stream }

        /// The next delivery; `nil` when the stream has ended or the reading task was cancelled.
        public mutating func next() async throws(AMQPError) -> Delivery? {
            try await next(isolation: #isolation)
        }

        /// The next delivery; `nil` when the stream has ended or the reading task was cancelled.
        public mutating func next(isolation actor: isolated (any Actor)?) async throws(AMQPError) -> Delivery? {
            while true {
                while let delivery = batch.popLast() {
                    // A delivery that was lost while it waited here is delivered again.
                    if !delivery.isLost { return delivery }
                }
                batch = try await stream.nextBatch()
                if batch.isEmpty { return nil }
                batch.reverse()
            }
        }
    }
}
