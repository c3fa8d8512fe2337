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

    /// Sends the next message that may be sent.
    private func sendNext(_ publisher: inout Publisher) -> PendingPublish? { publisher.next()?.publish }

    /// The code with which a publish has failed; `nil` if it was confirmed.
    private func failure(of publish: PendingPublish) async -> AMQPError.Code? {
        #expect(publish.isDone)
        do {
            try await publish.outcome()
            return nil
        } catch {
            return error.code
        }
    }

    @Test func `The first publish opens the channel, and nothing is sent before it confirms`() {
        var publisher = Publisher()
        let first = publish()
        let firstAction = publisher.enqueue([first])
        #expect(firstAction == .openChannel)
        let secondAction = publisher.enqueue([publish()])
        #expect(secondAction == nil)
        #expect(sendNext(&publisher) == nil)
        let openedAction = publisher.opened(1)
        #expect(openedAction == .send(.confirmSelect, channel: 1))
        #expect(sendNext(&publisher) == nil)
        publisher.selected()
        #expect(sendNext(&publisher) === first)
    }

    @Test func `A confirm makes a publish succeed`() async {
        let publish = publish()
        var publisher = Publisher.ready(havingSent: [publish])
        publisher.acknowledged(1, multiple: false)
        #expect(await failure(of: publish) == nil)
    }

    @Test func `A nack fails a publish with a known outcome`() async {
        let publish = publish()
        var publisher = Publisher.ready(havingSent: [publish])
        publisher.refused(1, multiple: false)
        #expect(await failure(of: publish) == .nacked)
        #expect(AMQPError(.nacked, "").outcomeIsKnown)
    }

    @Test func `A returned message fails its own publish although it is acknowledged afterwards`() async {
        let kept = publish(id: "kept")
        let lost = publish(id: "lost")
        var publisher = Publisher.ready(havingSent: [kept, lost])
        publisher.returned(lost.message, to: lost.destination, BrokerReply(code: 312, text: "NO_ROUTE"))
        publisher.acknowledged(2, multiple: true)
        #expect(await failure(of: lost) == .unroutable)
        #expect(await failure(of: kept) == nil)
    }

    @Test func `While the broker blocks publishers, nothing is sent, and the error at the deadline says why`() async {
        var publisher = Publisher.ready()
        publisher.blockedReason = "low on memory"
        let publish = publish(deadlineIn: 1)
        _ = publisher.enqueue([publish])
        #expect(sendNext(&publisher) == nil)
        #expect(publisher.nextDeadline == publish.deadline)
        publisher.expire(now: start + .milliseconds(999))
        #expect(!publish.isDone)
        publisher.expire(now: start + .seconds(1))
        #expect(await failure(of: publish) == .blocked)
        #expect(publisher.nextDeadline == nil)
    }

    @Test func `A publish that was sent and not confirmed by its deadline has an unknown outcome`() async {
        let publish = publish(deadlineIn: 1)
        var publisher = Publisher.ready(havingSent: [publish])
        publisher.expire(now: start + .seconds(2))
        #expect(await failure(of: publish) == .confirmTimedOut)
        #expect(!AMQPError(.confirmTimedOut, "").outcomeIsKnown)
        publisher.acknowledged(1, multiple: false)
    }

    @Test func `A publish past its deadline is not sent`() async {
        var publisher = Publisher()
        let late = publish(deadlineIn: 1)
        let early = publish(deadlineIn: 5)
        _ = publisher.enqueue([late, early])
        publisher.expire(now: start + .seconds(2))
        #expect(await failure(of: late) == .deadlineExceeded)
        publisher.becomeReady()
        #expect(sendNext(&publisher) === early)
        #expect(publisher.nextDeadline == early.deadline)
    }

    @Test func `A missing exchange fails only the publishes to it, and the others are sent again`() async {
        let wrong = publish(to: Destination(exchange: "nowhere", routingKey: "x"))
        let right = publish()
        var publisher = Publisher.ready(havingSent: [right, wrong])
        let reply = BrokerReply(code: 404, text: "NOT_FOUND - no exchange 'nowhere' in vhost '/'")
        let action = publisher.channelClosed(reply)
        #expect(action == .openChannel)
        #expect(await failure(of: wrong) == .notFound)
        #expect(!right.isDone)
        publisher.becomeReady(channel: 2)
        let again = publisher.next()
        #expect(again?.publish === right)
        #expect(again?.channel == 2)
        publisher.acknowledged(1, multiple: false)
        #expect(await failure(of: right) == nil)
    }

    @Test func `A channel closed for a reason that concerns no publish leaves all outcomes unknown`() async {
        let publish = publish()
        var publisher = Publisher.ready(havingSent: [publish])
        _ = publisher.channelClosed(BrokerReply(code: 541, text: "INTERNAL_ERROR"))
        #expect(await failure(of: publish) == .channelLost)
    }

    @Test func `After a lost connection, unconfirmed publishes are sent again before those that wait`() async {
        let sent = publish(id: "sent")
        var publisher = Publisher.ready(havingSent: [sent])
        publisher.blockedReason = "disk"
        let unsent = publish(id: "unsent")
        _ = publisher.enqueue([unsent])
        let resent = publisher.connectionLost(AMQPError(.connectionLost, "reset by peer"))
        #expect(resent == 1)
        #expect(publisher.blockedReason == nil)
        #expect(sendNext(&publisher) == nil)
        let action = publisher.connected()
        #expect(action == .openChannel)
        publisher.becomeReady()
        #expect(sendNext(&publisher) === sent)
        #expect(sendNext(&publisher) === unsent)
        publisher.acknowledged(2, multiple: true)
        #expect(await failure(of: sent) == nil)
        #expect(await failure(of: unsent) == nil)
    }

    @Test func `A deadline that passes without a connection distinguishes what was sent from what was not`() async {
        let sent = publish(deadlineIn: 1)
        var publisher = Publisher.ready(havingSent: [sent])
        _ = publisher.connectionLost(AMQPError(.connectionLost, "reset by peer"))
        let unsent = publish(deadlineIn: 1)
        _ = publisher.enqueue([unsent])
        #expect(publisher.nextDeadline == sent.deadline)
        publisher.expire(now: start + .seconds(1))
        #expect(await failure(of: sent) == .confirmTimedOut)
        #expect(await failure(of: unsent) == .deadlineExceeded)
        #expect(!publisher.hasWaiting)
    }

    @Test func `A publish that may have made the broker close the connection is sent at most three times`() async {
        let publish = publish()
        var publisher = Publisher.ready(havingSent: [publish])
        let fault = AMQPError(.connectionClosed, "", reply: BrokerReply(code: 541, text: "INTERNAL_ERROR"))
        for _ in 0..<2 {
            _ = publisher.connectionLost(fault)
            #expect(!publish.isDone)
            _ = publisher.connected()
            publisher.becomeReady()
            #expect(sendNext(&publisher) === publish)
        }
        let resent = publisher.connectionLost(fault)
        #expect(resent == 0)
        #expect(await failure(of: publish) == .connectionLost)
    }

    @Test func `An operator who closes the connection repeatedly makes no publish fail`() {
        let publish = publish()
        var publisher = Publisher.ready(havingSent: [publish])
        let maintenance = AMQPError(.connectionClosed, "", reply: BrokerReply(code: 320, text: "CONNECTION_FORCED"))
        for _ in 0..<10 {
            let resent = publisher.connectionLost(maintenance)
            #expect(resent == 1)
            _ = publisher.connected()
            publisher.becomeReady()
            #expect(sendNext(&publisher) === publish)
        }
        #expect(!publish.isDone)
    }

    @Test
    func `When the connection ends for good, the outcome is unknown for what was sent and known for what was not`()
        async
    {
        let sent = publish()
        var publisher = Publisher.ready(havingSent: [sent])
        publisher.blockedReason = "disk"
        let unsent = publish()
        _ = publisher.enqueue([unsent])
        publisher.end(AMQPError(.connectionLost, "reset by peer"))
        #expect(await failure(of: sent) == .connectionLost)
        #expect(await failure(of: unsent) == .connectionClosed)
    }
}

extension Publisher {
    /// A publisher whose channel 1 is in confirm mode and has sent these.
    fileprivate static func ready(havingSent publishes: [PendingPublish] = []) -> Publisher {
        var publisher = Publisher()
        _ = publisher.enqueue(publishes)
        publisher.becomeReady()
        while publisher.next() != nil {}
        return publisher
    }

    /// Opens the channel and puts it into confirm mode.
    fileprivate mutating func becomeReady(channel: UInt16 = 1) {
        _ = opened(channel)
        selected()
    }
}
