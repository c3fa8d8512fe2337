import AMQP

/// Requests with one answer each.
extension Connection {
    /// Sends a method on the channel for its purpose and waits for the answer until the deadline, over as many
    /// connections as it takes.
    nonisolated func request(
        _ method: OutboundMethod,
        for purpose: RequestPurpose = .topology,
        deadline: ContinuousClock.Instant
    ) async throws(AMQPError) -> InboundMethod {
        guard case .method(let answer) = try await answer(to: method, for: purpose, deadline: deadline) else {
            throw AMQPError(.malformed, "The broker answered with a message: \(method.summary).")
        }
        return answer
    }

    /// Fetches one message from a queue; returns `nil` if none is ready.
    nonisolated func get(queue: String, deadline: ContinuousClock.Instant) async throws(AMQPError) -> Delivery? {
        let answer = try await answer(to: .get(queue: queue), for: .gets, deadline: deadline)
        guard case .message(.get(let tag, let isRedelivered, let destination), let message, let settler) = answer
        else { return nil }
        return Delivery(
            message: message,
            destination: destination,
            queue: queue,
            isRedelivered: isRedelivered,
            tag: tag,
            settler: settler
        )
    }

    private nonisolated func answer(
        to method: OutboundMethod,
        for purpose: RequestPurpose,
        deadline: ContinuousClock.Instant
    ) async throws(AMQPError) -> RequestChannel.Answer {
        let request = RequestChannel.Request(method: method, deadline: deadline, reply: Reply())
        thread.post { $0.enqueue(request, for: purpose) }
        return try await request.reply.value(
            until: deadline,
            late: .unanswered(method),
            cancelled: AMQPError.cancelled("Cancelled before the broker answered the request to \(method.summary).")
        )
    }

    private func enqueue(_ request: RequestChannel.Request, for purpose: RequestPurpose) {
        if let closeError {
            let error = AMQPError(closeError.code, "Can't \(request.method.summary): \(closeError.message)")
            request.reply.finish(.failure(error))
            return
        }
        let channel = requests[purpose, default: RequestChannel(isConnected: socket != nil)]
        requests[purpose] = channel
        perform(requests[purpose]?.enqueue(request) ?? nil, for: purpose)
    }

    /// Handles the answer to a request, and records an accepted declaration so that it can be made again.
    func answered(_ answer: RequestChannel.Answer, for purpose: RequestPurpose) {
        if purpose == .topology, let method = requests[purpose]?.methodUnderWay { declared.note(method) }
        perform(requests[purpose]?.answered(answer) ?? nil, for: purpose)
        requestEnded()
    }

    /// Continues with what waits for the end of a redeclaration, if that was its last request.
    func requestEnded() {
        guard isRedeclaring, socket != nil, requests[.topology]?.isRedeclaring != true else { return }
        redeclarationEnded()
        resumeConsumers(.now)
    }
}

extension AMQPError {
    /// The deadline of a request has passed.
    static func unanswered(_ method: OutboundMethod) -> AMQPError {
        AMQPError(.deadlineExceeded, "The broker did not answer within the time limit: \(method.summary).")
    }
}
