import AMQP
import DequeModule

/// A channel for requests with one answer each: declarations, deletions, gets.
///
/// A state machine: events in, actions out, no I/O. One request is under way at a time, because an error closes the
/// channel: the request that caused it fails, and those behind it continue on a new channel. When the connection is
/// lost, they all wait for a new one. The request under way is sent again, which is safe for each of these methods,
/// unless the broker closed the connection because of it. A request that the broker doesn't answer fails at its
/// deadline and holds up the others for a while longer; then they get another channel.
struct RequestChannel {
    /// An action for the connection to perform.
    enum Action: Equatable {
        /// Open a channel; ``opened(_:)`` reports its number.
        case openChannel
        /// Send a method on the channel.
        case send(OutboundMethod, channel: UInt16)
        /// Close the channel, on which the broker doesn't answer, and open another.
        case replaceChannel(UInt16)
    }

    /// The number of times that a request is sent if the broker closes the connection for an error each time, without
    /// naming the cause.
    private static let sendsDespiteFaults = 2
    /// The time for which an answer is awaited that nobody waits for any more.
    private static let lateAnswerTime = Duration.seconds(10)

    /// The broker's answer to a request.
    enum Answer: Sendable {
        case method(InboundMethod)
        case message(ContentStart, Message, any DeliverySettler)
    }

    /// A request and the slot for its answer.
    struct Request: Sendable {
        var method: OutboundMethod
        var deadline: ContinuousClock.Instant
        var reply: Reply<Answer>
        /// True for a declaration that the connection itself repeats.
        var isRedeclaration = false
        /// The number of times that the broker closed the connection for an error while this was under way.
        var faults = 0
        /// True once its deadline has passed, and only its answer is awaited.
        var isExpired = false
    }

    private enum Phase {
        /// Without a connection at present.
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

    /// The method that has been sent and not yet answered.
    var methodUnderWay: OutboundMethod? {
        if case .busy(_, let request) = phase { request.method } else { nil }
    }

    /// True while the connection repeats declarations.
    var isRedeclaring: Bool {
        if case .busy(_, let request) = phase, request.isRedeclaration { return true }
        return waiting.contains(where: \.isRedeclaration)
    }

    /// The earliest deadline of the requests.
    var nextDeadline: ContinuousClock.Instant? {
        var next: ContinuousClock.Instant? = if case .busy(_, let request) = phase { request.deadline } else { nil }
        for request in waiting { next = min(next ?? request.deadline, request.deadline) }
        return next
    }

    /// Adds a request.
    mutating func enqueue(_ request: Request) -> Action? {
        waiting.append(request)
        return advance()
    }

    /// Handles the opening of the channel.
    mutating func opened(_ channel: UInt16) -> Action? {
        phase = .idle(channel: channel)
        return advance()
    }

    /// Handles the answer to the request that is under way.
    mutating func answered(_ answer: Answer) -> Action? {
        guard case .busy(let channel, let request) = phase else { return nil }
        if !request.reply.finish(.success(answer)), case .message(.get(let tag, _, _), _, let settler) = answer {
            // Nobody waits for the message any more.
            settler.settle(tag, .requeue)
        }
        phase = .idle(channel: channel)
        return advance()
    }

    /// Handles the refusal of librabbitmq to encode the request that is under way: it was not sent.
    mutating func failedToEncode(_ error: AMQPError) -> Action? {
        guard case .busy(let channel, let request) = phase else { return nil }
        request.reply.finish(.failure(error))
        phase = .idle(channel: channel)
        return advance()
    }

    /// Handles the close of the channel by the broker, which is due to the request that is under way.
    mutating func channelClosed(_ reply: BrokerReply) -> Action? {
        if case .busy(_, let request) = phase {
            request.reply.finish(.failure(.refused(request.method, reply)))
        }
        phase = .closed
        return advance()
    }

    /// Handles the broker's refusal to open a channel: everything that waits for it fails.
    mutating func failToOpen(_ error: AMQPError) {
        guard case .opening = phase else { return }
        for request in waiting { request.reply.finish(.failure(error)) }
        waiting = []
        phase = .closed
    }

    /// Adds declarations that precede all other requests.
    mutating func redeclare(_ methods: [OutboundMethod], deadline: ContinuousClock.Instant) -> Action? {
        waiting.prepend(
            contentsOf: methods.map {
                Request(method: $0, deadline: deadline, reply: Reply(), isRedeclaration: true)
            }
        )
        return advance()
    }

    /// Handles a new connection.
    mutating func connected() -> Action? {
        guard case .disconnected = phase else { return nil }
        phase = .closed
        return advance()
    }

    /// Handles the loss of the connection; a new one is being made.
    ///
    /// - Parameters:
    ///   - fault: The broker's reason, if it closed the connection for an error.
    ///   - method: The number of the method that was the cause, if the broker named one.
    mutating func connectionLost(_ fault: BrokerReply? = nil, by method: UInt32 = 0) {
        if case .busy(_, var request) = phase, !request.reply.isDone {
            if let fault, method == 0 || method == request.method.number {
                request.faults = method == 0 ? request.faults + 1 : Self.sendsDespiteFaults
                if request.faults >= Self.sendsDespiteFaults {
                    request.reply.finish(.failure(.refused(request.method, fault)))
                }
            }
            if !request.reply.isDone { waiting.prepend(request) }
        }
        // The next connection repeats all declarations that it needs.
        waiting.removeAll(where: \.isRedeclaration)
        phase = .disconnected
    }

    /// Fails everything, since there will be no connection.
    mutating func end(_ error: AMQPError) {
        if case .busy(_, let request) = phase { request.reply.finish(.failure(error)) }
        for request in waiting { request.reply.finish(.failure(error)) }
        self = RequestChannel(isConnected: false)
    }

    /// Fails requests that are past their deadlines.
    ///
    /// A late answer is still matched with its request, and dropped.
    mutating func expire(now: ContinuousClock.Instant) -> Action? {
        guard let nextDeadline, nextDeadline <= now else { return nil }
        func fail(_ request: Request) { request.reply.finish(.failure(.unanswered(request.method))) }
        for request in waiting where request.deadline <= now { fail(request) }
        waiting.removeAll { $0.reply.isDone }
        guard case .busy(let channel, var request) = phase, request.deadline <= now else { return nil }
        if request.isExpired {
            phase = .closed
            return .replaceChannel(channel)
        }
        fail(request)
        request.isExpired = true
        request.deadline = now + Self.lateAnswerTime
        phase = .busy(channel: channel, request)
        return nil
    }

    /// Handles the start of the closing of a channel that is to be replaced.
    mutating func replacing() -> Action? { advance() }

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
