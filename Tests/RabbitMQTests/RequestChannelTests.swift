import AMQP
import Synchronization
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
        _ = channel.expire(now: start + .seconds(2))
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

    @Test func `A request that is never answered holds up the others for a while, and then they get another channel`()
        async
    {
        var channel = RequestChannel()
        let lost = request("lost", deadlineIn: 1)
        let next = request("next", deadlineIn: 60)
        _ = channel.enqueue(lost)
        _ = channel.opened(1)
        _ = channel.enqueue(next)
        #expect(channel.expire(now: start + .seconds(2)) == nil)
        #expect(channel.expire(now: start + .seconds(11)) == nil)
        #expect(channel.expire(now: start + .seconds(13)) == .replaceChannel(1))
        #expect(channel.replacing() == .openChannel)
        let action = channel.opened(2)
        #expect(sent(action) == .purgeQueue("next"))
        #expect(await failure(of: lost) == .deadlineExceeded)
    }

    @Test func `A request because of which the broker closed the connection isn't sent again`() async {
        var channel = RequestChannel()
        let culprit = request("stream")
        let next = request("next")
        _ = channel.enqueue(culprit)
        _ = channel.opened(1)
        _ = channel.enqueue(next)
        channel.connectionLost(BrokerReply(code: 540, text: "NOT_IMPLEMENTED"), by: culprit.method.number)
        #expect(await failure(of: culprit) == .refused)
        #expect(!next.reply.isDone)
    }

    @Test func `A request is sent twice at most if the broker closes the connection without naming the cause`() async {
        var channel = RequestChannel()
        let suspect = request("stream")
        _ = channel.enqueue(suspect)
        for attempt in 1...2 {
            #expect(!suspect.reply.isDone)
            _ = attempt == 1 ? nil : channel.connected()
            #expect(sent(channel.opened(1)) == .purgeQueue("stream"))
            channel.connectionLost(BrokerReply(code: 541, text: "INTERNAL_ERROR"), by: 0)
        }
        #expect(await failure(of: suspect) == .unavailable)
    }

    @Test func `A request outlives any number of connections that others have broken`() {
        var channel = RequestChannel()
        let innocent = request("innocent")
        _ = channel.enqueue(innocent)
        for attempt in 1...20 {
            _ = attempt == 1 ? nil : channel.connected()
            #expect(sent(channel.opened(1)) == .purgeQueue("innocent"))
            channel.connectionLost(BrokerReply(code: 541, text: "INTERNAL_ERROR"), by: 0x003C_0014)
        }
        #expect(!innocent.reply.isDone)
    }

    @Test func `A message that nobody waits for any more returns to its queue`() async {
        let settler = Settlements()
        var channel = RequestChannel()
        let late = RequestChannel.Request(method: .get(queue: "q"), deadline: start + .seconds(10), reply: Reply())
        _ = channel.enqueue(late)
        _ = channel.opened(1)
        late.reply.finish(.failure(.cancelled("")))
        let start = ContentStart.get(tag: 7, isRedelivered: false, .queue("q"))
        _ = channel.answered(.message(start, Message("A"), settler))
        #expect(settler.taken.withLock(\.self) == [7: .requeue])
    }

    private final class Settlements: DeliverySettler {
        let taken = Mutex<[UInt64: DeliverySettlement]>([:])
        func settle(_ tag: UInt64, _ settlement: DeliverySettlement) { taken.withLock { $0[tag] = settlement } }
    }
}
