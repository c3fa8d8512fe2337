import Synchronization

/// The deliveries of one consumer, in the order the broker sent them.
///
/// The consumer lives as long as somebody can read from it. It ends when the loop over the stream is left, by `break`,
/// a `return`, an error or the task's cancellation; when the last reference to the stream goes; and with
/// ``cancel(requeuesUnsettled:)``. What was delivered and not read then returns to its queue; what was read can still
/// be settled, and the transport closes the channel once all of it is. The stream throws if the broker cancels the
/// consumer or closes its channel.
///
/// If the transport recovers a lost connection, the stream continues; earlier deliveries are lost
/// (``Delivery/isLost``) and are delivered again. The prefetch bounds the number of deliveries that wait here: the
/// broker sends no more until some are settled. A prefetch of zero sets no bound.
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
        /// Ends the consumer, and returns once the broker sends no more deliveries.
        ///
        /// The parameter says whether unsettled deliveries are requeued at once. Otherwise they can still be settled.
        /// ignores cancellation, and takes a few seconds at most.
        public var cancel: @Sendable (_ requeuesUnsettled: Bool) async -> Void
        /// Ends a consumer that nobody reads any more, without waiting for it.
        public var abandon: @Sendable () -> Void

        /// Creates a control from its two actions.
        public init(
            cancel: @escaping @Sendable (_ requeuesUnsettled: Bool) async -> Void,
            abandon: @escaping @Sendable () -> Void = {}
        ) {
            self.cancel = cancel
            self.abandon = abandon
        }
    }

    /// The transport's end of the stream.
    public let source: Source
    private let control: Control

    /// Creates a stream that a transport feeds through its ``source``.
    public init(control: Control) {
        self.control = control
        source = Source()
    }

    deinit { abandon([]) }

    /// True while the consumer is registered at the broker: false after the stream's end, and while a transport
    /// recovers a lost connection.
    public var isRegistered: Bool { source.isRegistered }

    /// Ends the consumer: asks the broker for no more deliveries, and returns once it sends no more.
    ///
    /// The stream ends once all deliveries that had arrived have been read; they can still be settled. Returns within a
    /// few seconds, even if the broker doesn't answer, and also in a cancelled task.
    ///
    /// - Parameter requeuesUnsettled: Whether the deliveries that aren't settled yet return to the queue at once, even
    ///   those that are being worked on.
    public func cancel(requeuesUnsettled: Bool = false) async { await control.cancel(requeuesUnsettled) }

    /// Creates the iterator; a stream has one reader, and ends with its iterator.
    public func makeAsyncIterator() -> Iterator { Iterator(Reading(self)) }

    /// Returns all waiting deliveries; suspends until there is at least one.
    ///
    /// An empty array means the stream has ended, or the reading task was cancelled.
    public func nextBatch() async throws(AMQPError) -> [Delivery] { try await source.nextBatch() }

    /// Ends the consumer, because nobody will read any more, and requeues what was not read.
    private func abandon(_ unread: some Sequence<Delivery>) {
        for delivery in unread { delivery.nack(requeue: true) }
        if source.abandon() { control.abandon() }
    }

    /// The reader of a stream, whose end is the stream's.
    fileprivate final class Reading {
        let stream: DeliveryStream
        /// The unread deliveries of a batch in reverse order: removing an array's last element moves it and copies
        /// nothing.
        var batch: [Delivery] = []

        init(_ stream: DeliveryStream) { self.stream = stream }

        deinit { stream.abandon(batch.reversed()) }
    }

    /// The iterator of a ``DeliveryStream``; the stream ends with the last copy of it.
    public struct Iterator: AsyncIteratorProtocol {
        private let reading: Reading

        fileprivate init(_ reading: Reading) { self.reading = reading }

        /// The next delivery; `nil` when the stream has ended or the reading task was cancelled.
        public mutating func next() async throws(AMQPError) -> Delivery? {
            try await next(isolation: #isolation)
        }

        /// The next delivery; `nil` when the stream has ended or the reading task was cancelled.
        public mutating func next(isolation actor: isolated (any Actor)?) async throws(AMQPError) -> Delivery? {
            while true {
                while let delivery = reading.batch.popLast() {
                    // A delivery that was lost while it waited here is delivered again.
                    if !delivery.isLost { return delivery }
                }
                let batch = try await reading.stream.nextBatch()
                if batch.isEmpty { return nil }
                reading.batch = batch.reversed()
            }
        }
    }
}

extension DeliveryStream {
    /// The transport's end of a ``DeliveryStream``: passes deliveries, and the stream's end, to its reader.
    ///
    /// Doesn't keep the stream, so that the stream can end when its reader lets it go.
    public final class Source: Sendable {
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

        fileprivate init() {}

        fileprivate var isRegistered: Bool { state.withLock { $0.isRegistered && $0.end == nil } }

        /// Sets whether the consumer is registered at the broker, for transports that recover.
        ///
        /// Setting it to false drops the deliveries that have not been read: the broker delivers them again.
        public func setRegistered(_ isRegistered: Bool) {
            state.withLock { state in
                state.isRegistered = isRegistered
                if !isRegistered { state.waiting = [] }
            }
        }

        /// Passes deliveries to the reader; after the stream's end, requeues them.
        public func yield(_ deliveries: [Delivery]) {
            let (reader, hasEnded) = state.withLock { state -> (CheckedContinuation<Wake, Never>?, Bool) in
                if state.end != nil { return (nil, true) }
                if state.waiting.isEmpty { state.waiting = deliveries } else { state.waiting += deliveries }
                return (state.reader.take(), false)
            }
            if hasEnded {
                for delivery in deliveries { delivery.nack(requeue: true) }
            }
            reader?.resume(returning: .read)
        }

        /// Ends the stream once the deliveries passed before have been read; only the first call counts.
        public func finish(throwing error: AMQPError? = nil) {
            let reader = state.withLock { state in
                if state.end == nil { state.end = error.map(Result.failure) ?? .success(()) }
                return state.reader.take()
            }
            reader?.resume(returning: .read)
        }

        /// Requeues what waits, since nobody reads any more; returns whether the consumer goes on so far.
        fileprivate func abandon() -> Bool {
            let (unread, isRunning) = state.withLock { state in
                let isRunning = state.end == nil
                if isRunning { state.end = .success(()) }
                defer { state.waiting = [] }
                return (state.waiting, isRunning)
            }
            for delivery in unread { delivery.nack(requeue: true) }
            return isRunning
        }

        fileprivate func nextBatch() async throws(AMQPError) -> [Delivery] {
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
                        precondition(
                            state.reader == nil,
                            "A DeliveryStream has one reader; a second one began to read."
                        )
                        state.reader = continuation
                        return nil
                    }
                    if let wake { continuation.resume(returning: wake) }
                }
            } onCancel: {
                state.withLock { $0.reader.take() }?.resume(returning: .cancelled)
            }
        }
    }
}
