import AMQP
import Testing

@testable import RabbitMQ

/// The request channel's state machine, event by event.
struct RequestChannelTests {
    private let start = ContinuousClock.now

    private func request(_ queue: String, deadlineIn seconds: Int = 10) -> RequestChannel.Request {
        RequestChannel.Request(
            method: .purgeQueue(queue),
            deadline: start + .seconds(seconds),
            reply: Reply()
        )
    }

    private func sent(_ action: RequestChannel.Action?) -> OutboundMethod? {
        if case .send(let method, _)? = action { method } else { nil }
    }

    private func failure(of request: RequestChannel.Request) async -> AMQPError.Code? {
        #expect(request.reply.isDone)
        do {
            _ = try await request.reply.value(cancelled: AMQPError(.cancelled, ""))
            return nil
        } catch {
            return error.code
        }
    }

    @Test func `Requests are sent one at a time, in the order they came`() {
        var channel = RequestChannel()
        _ = channel.enqueue(request("a"))
        _ = channel.enqueue(request("b"))
        var action = channel.opened(1)
        #expect(sent(action) == .purgeQueue("a"))
        action = channel.answered(.method(.queuePurgeOk(messageCount: 0)))
        #expect(sent(action) == .purgeQueue("b"))
        action = channel.answered(.method(.queuePurgeOk(messageCount: 0)))
        #expect(sent(action) == nil)
    }

    @Test func `An error fails the request that caused it, and the next is sent on a new channel`() async {
        var channel = RequestChannel()
        let wrong = request("wrong")
        let right = request("right")
        _ = channel.enqueue(wrong)
        _ = channel.enqueue(right)
        _ = channel.opened(1)
        let closedAction = channel.channelClosed(BrokerReply(code: 404, text: "NOT_FOUND"))
        #expect(closedAction == .openChannel)
        #expect(await failure(of: wrong) == .notFound)
        #expect(!right.reply.isDone)
        let action = channel.opened(2)
        #expect(sent(action) == .purgeQueue("right"))
    }

    @Test func `A late answer is not taken for the answer to the next request`() async {
        var channel = RequestChannel()
        let slow = request("slow", deadlineIn: 1)
        let next = request("next")
        _ = channel.enqueue(slow)
        _ = channel.opened(1)
        _ = channel.enqueue(next)
        channel.expire(now: start + .seconds(2))
        #expect(await failure(of: slow) == .deadlineExceeded)
        let action = channel.answered(.method(.queuePurgeOk(messageCount: 7)))
        #expect(sent(action) == .purgeQueue("next"))
        #expect(!next.reply.isDone)
    }

    @Test func `After a lost connection, requests wait for the next one, and the one under way is sent first`() {
        var channel = RequestChannel()
        _ = channel.enqueue(request("a"))
        _ = channel.opened(1)
        _ = channel.enqueue(request("b"))
        channel.connectionLost()
        let whileAway = channel.enqueue(request("c"))
        #expect(whileAway == nil)
        let back = channel.connected()
        #expect(back == .openChannel)
        var action = channel.opened(1)
        #expect(sent(action) == .purgeQueue("a"))
        action = channel.answered(.method(.queuePurgeOk(messageCount: 0)))
        #expect(sent(action) == .purgeQueue("b"))
    }

    @Test func `Repeated declarations precede all other requests, and are dropped with their connection`() {
        var channel = RequestChannel(isConnected: false)
        _ = channel.enqueue(request("waiting"))
        _ = channel.connected()
        let declaration = OutboundMethod.declareQueue(QueueDeclaration("q"), passive: false)
        _ = channel.redeclare([declaration], deadline: start + .seconds(10))
        #expect(channel.isRedeclaring)
        var action = channel.opened(1)
        #expect(sent(action) == declaration)
        channel.connectionLost()
        #expect(!channel.isRedeclaring)
        _ = channel.connected()
        action = channel.opened(1)
        #expect(sent(action) == .purgeQueue("waiting"))
    }

    @Test func `All requests fail when the connection ends for good`() async {
        var channel = RequestChannel()
        let underway = request("a")
        let waiting = request("b")
        _ = channel.enqueue(underway)
        _ = channel.opened(1)
        _ = channel.enqueue(waiting)
        channel.end(AMQPError(.connectionLost, "reset by peer"))
        #expect(await failure(of: underway) == .connectionLost)
        #expect(await failure(of: waiting) == .connectionLost)
        #expect(channel.nextDeadline == nil)
    }
}
