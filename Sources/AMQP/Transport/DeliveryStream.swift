import Synchronization

/// The deliveries of one consumer, in the order the broker sent them.
///
/// The stream ends after ``cancel()``, when what had arrived has been read, and throws if the broker cancelled the consumer or closed its
/// channel. A transport may recover a lost connection: then the stream goes on, and what came before is lost (``Delivery/isLost``)
/// and delivered again. The broker's prefetch bounds what waits here: it sends no more until deliveries are settled.
///
/// One task reads a stream. A transport hands deliveries over in batches, so most calls of `next()` neither suspend nor lock.
public final class DeliveryStream: AsyncSequence, Sendable {
    /// A delivery.
    public typealias Element = Delivery
    /// What can end the stream early.
    public typealias Failure = AMQPError

    /// What a transport does when the reader wants no more.
    public struct Control: Sendable {
        /// Asks the broker for no more deliveries; those that came can still be settled.
        public var cancel: @Sendable () async -> Void
        /// Ends the consumer's channel: what is unsettled goes back to the queue.
        public var close: @Sendable () async -> Void

        /// The two ways to end.
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
        case look
        case cancelled
    }

    private let state = Mutex(State())
    private let control: Control

    /// A stream that a transport feeds with ``yield(_:)`` and ends with ``finish(throwing:)``.
    public init(control: Control) {
        self.control = control
    }

    /// True while the consumer is registered at the broker: false after the stream's end, and while a transport recovers a lost
    /// connection.
    public var isRegistered: Bool { state.withLock { $0.isRegistered && $0.end == nil } }

    /// Says whether the consumer is registered at the broker, for transports that recover.
    ///
    /// When it isn't any more, what was handed over and not yet read is dropped: the broker delivers it again.
    public func setRegistered(_ isRegistered: Bool) {
        state.withLock { state in
            state.isRegistered = isRegistered
            if !isRegistered { state.waiting = [] }
        }
    }

    /// Asks the broker for no more deliveries.
    ///
    /// The stream ends once what had arrived has been read; it can all still be settled.
    public func cancel() async { await control.cancel() }

    /// Ends the consumer and its channel.
    ///
    /// What is unsettled goes back to the queue.
    public func close() async { await control.close() }

    /// Makes the iterator; a stream has one reader.
    public func makeAsyncIterator() -> Iterator { Iterator(stream: self) }

    /// Hands deliveries to the reader, for transports.
    public func yield(_ deliveries: [Delivery]) {
        let reader = state.withLock { state in
            guard state.end == nil else { return nil as CheckedContinuation<Wake, Never>? }
            if state.waiting.isEmpty { state.waiting = deliveries } else { state.waiting += deliveries }
            return state.reader.take()
        }
        reader?.resume(returning: .look)
    }

    /// Ends the stream after what was handed over has been read, for transports; the first end counts.
    public func finish(throwing error: AMQPError? = nil) {
        let reader = state.withLock { state in
            if state.end == nil { state.end = error.map(Result.failure) ?? .success(()) }
            return state.reader.take()
        }
        reader?.resume(returning: .look)
    }

    /// All deliveries that wait; suspends until there is one.
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
                    if !state.waiting.isEmpty || state.end != nil { return .look }
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

    /// Reads a ``DeliveryStream``.
    public struct Iterator: AsyncIteratorProtocol {
        private let stream: DeliveryStream
        /// What is still to be read of a batch, the first last: taking the last out of an array moves it and copies nothing.
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
                    // One that was lost while it waited here comes again.
                    if !delivery.isLost { return delivery }
                }
                batch = try await stream.nextBatch()
                if batch.isEmpty { return nil }
                batch.reverse()
            }
        }
    }
}
