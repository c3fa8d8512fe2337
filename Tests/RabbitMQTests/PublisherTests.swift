import AMQP
import Testing

@testable import RabbitMQ

/// The publishing channel's state machine, event by event.
struct PublisherTests {
    private let start = ContinuousClock.now

    private func publish(
        to destination: Destination = .queue("letters"),
        id: String = "a",
        mandatory: Bool = true,
        size: Int = 1,
        deadlineIn seconds: Int = 10
    ) -> PendingPublish {
        var properties = BasicProperties()
        properties.messageID = id
        return PendingPublish(
            Message(properties: properties, body: [UInt8](repeating: 0, count: size)),
            to: destination,
            mandatory: mandatory,
            deadline: start + .seconds(seconds)
        )
    }

    /// A publisher whose channel 1 is in confirm mode and has sent these.
    private func publisher(havingSent publishes: [PendingPublish]) -> Publisher {
        var publisher = Publisher()
        _ = publisher.enqueue(publishes)
        _ = publisher.opened(1)
        publisher.selected()
        while publisher.next() != nil {}
        return publisher
    }

    /// How a publish failed, by now.
    private func failure(of publish: PendingPublish) async -> AMQPError.Code? {
        #expect(publish.reply.isDone)
        do {
            try await publish.outcome()
            return nil
        } catch {
            return error.code
        }
    }

    @Test func `the first publish opens the channel, and nothing is sent before it confirms`() {
        var publisher = Publisher()
        let first = publish()
        guard case .openChannel? = publisher.enqueue([first]) else {
            Issue.record("the channel was not opened")
            return
        }
        if case .some = publisher.enqueue([publish()]) { Issue.record("the channel was opened twice") }
        if publisher.next() != nil { Issue.record("a message was sent too early") }
        guard case .send(.confirmSelect, channel: 1) = publisher.opened(1) else {
            Issue.record("confirms were not turned on")
            return
        }
        if publisher.next() != nil { Issue.record("a message was sent too early") }
        publisher.selected()
        let next = publisher.next()?.publish
        #expect(next === first)
    }

    @Test func `a confirm ends a publish well`() async {
        let publish = publish()
        var publisher = publisher(havingSent: [publish])
        publisher.acknowledged(1, multiple: false)
        #expect(await failure(of: publish) == nil)
    }

    @Test func `a nack fails a publish, and its outcome is known`() async {
        let publish = publish()
        var publisher = publisher(havingSent: [publish])
        publisher.refused(1, multiple: false)
        #expect(await failure(of: publish) == .nacked)
        #expect(AMQPError(.nacked, "").outcomeIsKnown)
    }

    @Test func `a returned message fails its own publish although it is acknowledged afterwards`() async {
        let kept = publish(id: "kept")
        let lost = publish(id: "lost")
        var publisher = publisher(havingSent: [kept, lost])
        publisher.returned(lost.message, to: lost.destination, BrokerReply(code: 312, text: "NO_ROUTE"))
        publisher.acknowledged(2, multiple: true)
        #expect(await failure(of: lost) == .unroutable)
        #expect(await failure(of: kept) == nil)
    }

    @Test func `while the broker blocks, nothing is sent, and the deadline says why`() async {
        var publisher = publisher(havingSent: [])
        publisher.blockedReason = "low on memory"
        let publish = publish(deadlineIn: 1)
        _ = publisher.enqueue([publish])
        _ = publisher.opened(1)
        publisher.selected()
        if publisher.next() != nil { Issue.record("a message was sent too early") }
        #expect(publisher.nextDeadline == publish.deadline)
        publisher.expire(now: start + .milliseconds(999))
        #expect(!publish.reply.isDone)
        publisher.expire(now: start + .seconds(1))
        #expect(await failure(of: publish) == .blocked)
        #expect(publisher.nextDeadline == nil)
    }

    @Test func `a publish that was sent and not confirmed by its deadline has an unknown outcome`() async {
        let publish = publish(deadlineIn: 1)
        var publisher = publisher(havingSent: [publish])
        publisher.expire(now: start + .seconds(2))
        #expect(await failure(of: publish) == .confirmTimedOut)
        #expect(!AMQPError(.confirmTimedOut, "").outcomeIsKnown)
        publisher.acknowledged(1, multiple: false)
    }

    @Test func `a publish past its deadline is not sent any more`() async {
        var publisher = Publisher()
        let late = publish(deadlineIn: 1)
        let early = publish(deadlineIn: 5)
        _ = publisher.enqueue([late, early])
        publisher.expire(now: start + .seconds(2))
        #expect(await failure(of: late) == .deadlineExceeded)
        _ = publisher.opened(1)
        publisher.selected()
        let next = publisher.next()?.publish
        #expect(next === early)
        #expect(publisher.nextDeadline == early.deadline)
    }

    @Test func `a missing exchange fails only the publishes to it, and the others are sent again`() async {
        let wrong = publish(to: Destination(exchange: "nowhere", routingKey: "x"))
        let right = publish()
        var publisher = publisher(havingSent: [right, wrong])
        let reply = BrokerReply(code: 404, text: "NOT_FOUND - no exchange 'nowhere' in vhost '/'")
        guard case .openChannel? = publisher.channelClosed(reply) else {
            Issue.record("no new channel was opened")
            return
        }
        #expect(await failure(of: wrong) == .notFound)
        #expect(!right.reply.isDone)
        _ = publisher.opened(2)
        publisher.selected()
        let again = publisher.next()
        #expect(again?.publish === right)
        #expect(again?.channel == 2)
        publisher.acknowledged(1, multiple: false)
        #expect(await failure(of: right) == nil)
    }

    @Test func `a channel closed for a reason that names no publish leaves their outcome unknown`() async {
        let publish = publish()
        var publisher = publisher(havingSent: [publish])
        _ = publisher.channelClosed(BrokerReply(code: 541, text: "INTERNAL_ERROR"))
        #expect(await failure(of: publish) == .channelLost)
    }

    @Test func `when the connection is lost, what was not confirmed is sent again, before what waits`() async {
        let sent = publish(id: "sent")
        var publisher = publisher(havingSent: [sent])
        publisher.blockedReason = "disk"
        let unsent = publish(id: "unsent")
        _ = publisher.enqueue([unsent])
        let resent = publisher.connectionLost(AMQPError(.connectionLost, "reset by peer"))
        #expect(resent == 1)
        #expect(publisher.blockedReason == nil)
        if publisher.next() != nil { Issue.record("a message was sent without a connection") }
        guard case .openChannel? = publisher.connected() else {
            Issue.record("no channel was opened on the new connection")
            return
        }
        _ = publisher.opened(1)
        publisher.selected()
        let first = publisher.next()?.publish
        let second = publisher.next()?.publish
        #expect(first === sent)
        #expect(second === unsent)
        publisher.acknowledged(2, multiple: true)
        #expect(await failure(of: sent) == nil)
        #expect(await failure(of: unsent) == nil)
    }

    @Test func `a deadline that passes without a connection tells what was sent from what was not`() async {
        let sent = publish(deadlineIn: 1)
        var publisher = publisher(havingSent: [sent])
        _ = publisher.connectionLost(AMQPError(.connectionLost, "reset by peer"))
        let unsent = publish(deadlineIn: 1)
        _ = publisher.enqueue([unsent])
        #expect(publisher.nextDeadline == sent.deadline)
        publisher.expire(now: start + .seconds(1))
        #expect(await failure(of: sent) == .confirmTimedOut)
        #expect(await failure(of: unsent) == .deadlineExceeded)
        #expect(!publisher.hasWaiting)
    }

    @Test func `a publish that the broker may have closed the connection for is sent three times at most`() async {
        let publish = publish()
        var publisher = publisher(havingSent: [publish])
        let fault = AMQPError(.connectionClosed, "", reply: BrokerReply(code: 541, text: "INTERNAL_ERROR"))
        for _ in 0..<2 {
            _ = publisher.connectionLost(fault)
            #expect(!publish.reply.isDone)
            _ = publisher.connected()
            _ = publisher.opened(1)
            publisher.selected()
            let again = publisher.next()?.publish
            #expect(again === publish)
        }
        let resent = publisher.connectionLost(fault)
        #expect(resent == 0)
        #expect(await failure(of: publish) == .connectionLost)
    }

    @Test func `an operator who closes the connection again and again makes no publish fail`() {
        let publish = publish()
        var publisher = publisher(havingSent: [publish])
        let maintenance = AMQPError(.connectionClosed, "", reply: BrokerReply(code: 320, text: "CONNECTION_FORCED"))
        for _ in 0..<10 {
            let resent = publisher.connectionLost(maintenance)
            #expect(resent == 1)
            _ = publisher.connected()
            _ = publisher.opened(1)
            publisher.selected()
            _ = publisher.next()
        }
        #expect(!publish.reply.isDone)
    }

    @Test func `when there will be no connection, what was sent is unknown and what was not is known`() async {
        let sent = publish()
        var publisher = publisher(havingSent: [sent])
        publisher.blockedReason = "disk"
        let unsent = publish()
        _ = publisher.enqueue([unsent])
        publisher.end(AMQPError(.connectionLost, "reset by peer"))
        #expect(await failure(of: sent) == .connectionLost)
        #expect(await failure(of: unsent) == .connectionClosed)
    }
}
