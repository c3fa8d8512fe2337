import AMQP
import DequeModule

/// A channel for requests that have one answer each: declarations, deletions, gets.
///
/// A state machine: events in, actions out, no I/O. One request is under way at a time, because an error closes the channel: the
/// request that made it fails, and those behind it go on, on a new channel. When the connection is lost, they all wait for a new one; the
/// one under way is asked again, since each of these methods may be.
struct RequestChannel {
    /// What the connection should do.
    enum Action: Equatable {
        /// Open a channel; its number comes back in ``opened(_:)``.
        case openChannel
        /// Send a method on the channel.
        case send(OutboundMethod, channel: UInt16)
    }

    /// What the broker answered.
    enum Answer: Sendable {
        case method(InboundMethod)
        case message(ContentStart, Message, ChannelSettler)
    }

    /// A request and who waits for its answer.
    struct Request: Sendable {
        var method: OutboundMethod
        var deadline: ContinuousClock.Instant
        var reply: Reply<Answer>
        /// True for what the connection itself declares again.
        var isRedeclaration = false
    }

    private enum Phase {
        /// There is no connection now.
        case disconnected
        case closed
        case opening
        case idle(channel: UInt16)
        case busy(channel: UInt16, Request)
    }

    private var phase: Phase
    private var waiting: Deque<Request> = []

    init(isConnected: Bool = true) {
        phase = isConnected ? .closed : .disconnected
    }

    /// True if requests wait.
    var hasWaiting: Bool { !waiting.isEmpty }

    /// The method that waits for its answer.
    var methodUnderWay: OutboundMethod? {
        if case .busy(_, let request) = phase { request.method } else { nil }
    }

    /// True while the connection declares again what may be gone.
    var isRedeclaring: Bool {
        if case .busy(_, let request) = phase, request.isRedeclaration { return true }
        return waiting.contains(where: \.isRedeclaration)
    }

    /// The earliest deadline of the requests.
    var nextDeadline: ContinuousClock.Instant? {
        let underway: ContinuousClock.Instant? = if case .busy(_, let request) = phase { request.deadline } else { nil }
        return (waiting.map(\.deadline) + [underway].compactMap(\.self)).min()
    }

    /// Takes a request.
    mutating func enqueue(_ request: Request) -> Action? {
        waiting.append(request)
        return advance()
    }

    /// The channel is open.
    mutating func opened(_ channel: UInt16) -> Action? {
        phase = .idle(channel: channel)
        return advance()
    }

    /// The broker answered the request that is under way.
    mutating func answered(_ answer: Answer) -> Action? {
        guard case .busy(let channel, let request) = phase else { return nil }
        request.reply.finish(.success(answer))
        phase = .idle(channel: channel)
        return advance()
    }

    /// The broker closed the channel: the request that is under way was wrong.
    mutating func channelClosed(_ reply: BrokerReply) -> Action? {
        if case .busy(_, let request) = phase {
            request.reply.finish(.failure(.refused(request.method, reply)))
        }
        phase = .closed
        return advance()
    }

    /// Takes requests that go before all others.
    mutating func redeclare(_ methods: [OutboundMethod], deadline: ContinuousClock.Instant) -> Action? {
        waiting.prepend(
            contentsOf: methods.map {
                Request(method: $0, deadline: deadline, reply: Reply(), isRedeclaration: true)
            }
        )
        return advance()
    }

    /// There is a connection.
    mutating func connected() -> Action? {
        guard case .disconnected = phase else { return nil }
        phase = .closed
        return advance()
    }

    /// The connection is gone, and a new one is being made.
    mutating func connectionLost() {
        if case .busy(_, let request) = phase, !request.reply.isDone { waiting.prepend(request) }
        // The next connection begins anew to declare what may be gone.
        waiting.removeAll(where: \.isRedeclaration)
        phase = .disconnected
    }

    /// There will be no connection.
    mutating func end(_ error: AMQPError) {
        if case .busy(_, let request) = phase { request.reply.finish(.failure(error)) }
        for request in waiting { request.reply.finish(.failure(error)) }
        self = RequestChannel(isConnected: false)
    }

    /// Fails what has waited past its deadline.
    ///
    /// A late answer is still matched with its request, and dropped.
    mutating func expire(now: ContinuousClock.Instant) {
        func fail(_ request: Request) { request.reply.finish(.failure(.unanswered(request.method))) }
        if case .busy(let channel, var request) = phase, request.deadline <= now {
            fail(request)
            request.deadline = now.advanced(by: .seconds(3600))
            phase = .busy(channel: channel, request)
        }
        for request in waiting where request.deadline <= now { fail(request) }
        waiting.removeAll { $0.reply.isDone }
    }

    private mutating func advance() -> Action? {
        switch phase {
        case .closed:
            guard !waiting.isEmpty else { return nil }
            phase = .opening
            return .openChannel
        case .idle(let channel):
            while let request = waiting.popFirst() {
                if request.reply.isDone { continue }
                phase = .busy(channel: channel, request)
                return .send(request.method, channel: channel)
            }
            return nil
        case .disconnected, .opening, .busy:
            return nil
        }
    }
}
