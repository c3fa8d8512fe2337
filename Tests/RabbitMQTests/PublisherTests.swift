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
            properties: [],
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

    @Test func `A nack fails a publish with an unknown outcome, since another queue may have kept it`() async {
        let publish = publish()
        var publisher = Publisher.ready(havingSent: [publish])
        publisher.refused(1, multiple: false)
        #expect(await failure(of: publish) == .nacked)
        #expect(!AMQPError(.nacked, "").outcomeIsKnown)
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
        let action = publisher.channelClosed(reply, byPublish: true, now: start)
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
        _ = publisher.channelClosed(
            BrokerReply(code: 541, text: "INTERNAL_ERROR"),
            byPublish: false,
            now: start
        )
        #expect(await failure(of: publish) == .channelLost)
    }

    // MARK: One bad publish

    /// The broker's refusal to accept what a publish says.
    private func refuse(_ publisher: inout Publisher, _ code: UInt16, _ text: String) -> Publisher.Action? {
        publisher.channelClosed(BrokerReply(code: code, text: text), byPublish: true, now: .now)
    }

    /// Confirms everything in order, one publish at a time, on a new channel; returns the tags' order by message id.
    private func sendRest(_ publisher: inout Publisher) -> [String] {
        publisher.becomeReady(channel: 2)
        var order: [String] = []
        while let publish = sendNext(&publisher) {
            order.append(publish.message.properties.messageID ?? "")
            publisher.acknowledged(UInt64(order.count), multiple: false)
        }
        return order
    }

    @Test func `A refusal that names no publish is found by sending the suspects again one at a time`() async {
        let publishes = (1...5).map { publish(id: "\($0)") }
        var publisher = Publisher.ready(havingSent: publishes)
        let later = publish(id: "later")
        _ = publisher.enqueue([later])
        let action = refuse(&publisher, 406, "PRECONDITION_FAILED - something new")
        #expect(action == .openChannel)
        publisher.becomeReady(channel: 2)
        // Each alone: the next isn't sent before the last is confirmed.
        for number in 0..<3 {
            #expect(sendNext(&publisher) === publishes[number])
            #expect(sendNext(&publisher) == nil)
            #expect(!publisher.isReadyToSend)
            if number < 2 { publisher.acknowledged(UInt64(number + 1), multiple: false) }
        }
        _ = refuse(&publisher, 406, "PRECONDITION_FAILED - something new")
        #expect(await failure(of: publishes[2]) == .refused)
        #expect(sendRest(&publisher) == ["4", "5", "later"])
        for other in [0, 1, 3, 4] { #expect(await failure(of: publishes[other]) == nil) }
        #expect(await failure(of: later) == nil)
    }

    @Test func `A lone publish that the broker refuses is the culprit at once`() async {
        let wrong = publish()
        var publisher = Publisher.ready(havingSent: [wrong])
        _ = refuse(&publisher, 406, "PRECONDITION_FAILED - something new")
        #expect(await failure(of: wrong) == .refused)
    }

    @Test func `A culprit whose caller has given up is not mistaken for another publish`() async {
        let abandoned = publish(deadlineIn: 1)
        let innocent = publish(id: "innocent", deadlineIn: 1000)
        var publisher = Publisher.ready(havingSent: [abandoned, innocent])
        publisher.expire(now: start + .seconds(2))
        _ = refuse(&publisher, 406, "PRECONDITION_FAILED - something new")
        #expect(!innocent.isDone)
        #expect(sendRest(&publisher) == ["innocent"])
        #expect(await failure(of: innocent) == nil)
    }

    @Test(arguments: [
        ("access to topic 'wrong' in exchange 'topics' in vhost '/' refused for user 'ada'"),
        ("write access to topic 'wrong' in exchange 'topics' in vhost '/' refused for user 'ada'"),
    ])
    func `A topic that the user may not write fails only the publishes to it`(text: String) async {
        let wrong = publish(to: Destination(exchange: "topics", routingKey: "wrong"))
        let right = publish(to: Destination(exchange: "topics", routingKey: "right"), id: "right")
        var publisher = Publisher.ready(havingSent: [right, wrong])
        _ = refuse(&publisher, 403, "ACCESS_REFUSED - \(text)")
        #expect(await failure(of: wrong) == .accessRefused)
        #expect(sendRest(&publisher) == ["right"])
    }

    @Test func `The default exchange is refused under the name that the broker gives it`() async {
        let wrong = publish()
        let right = publish(to: Destination(exchange: "other", routingKey: "x"), id: "right")
        var publisher = Publisher.ready(havingSent: [right, wrong])
        _ = refuse(
            &publisher,
            403,
            "ACCESS_REFUSED - access to exchange 'amq.default' in vhost '/' refused for user 'ada'"
        )
        #expect(await failure(of: wrong) == .accessRefused)
        #expect(!right.isDone)
    }

    @Test func `Another user's name and a malformed CC header fail their own publish`() async {
        var properties = BasicProperties()
        properties.userID = "bob"
        let asBob = PendingPublish(
            Message(properties: properties, body: []),
            properties: [],
            to: .queue("q"),
            mandatory: false,
            deadline: start + .seconds(10)
        )
        properties = BasicProperties()
        properties.headers = ["CC": "not an array"]
        let malformed = PendingPublish(
            Message(properties: properties, body: []),
            properties: [],
            to: .queue("q"),
            mandatory: false,
            deadline: start + .seconds(10)
        )
        let right = publish(id: "right")
        var publisher = Publisher.ready(havingSent: [right, asBob, malformed])
        _ = refuse(
            &publisher,
            406,
            "PRECONDITION_FAILED - user_id property set to 'bob' but authenticated user was 'ada'"
        )
        #expect(await failure(of: asBob) == .refused)
        #expect(!malformed.isDone)
        publisher.becomeReady(channel: 2)
        while publisher.next() != nil {}
        _ = refuse(
            &publisher,
            406,
            "PRECONDITION_FAILED - invalid message: {unacceptable_type_in_header,\"CC\",longstr}"
        )
        #expect(await failure(of: malformed) == .refused)
        #expect(sendRest(&publisher) == ["right"])
    }

    @Test func `A missing exchange is remembered, so that a program that repeats its fault disturbs nobody`() async {
        let nowhere = Destination(exchange: "nowhere", routingKey: "x")
        let first = publish(to: nowhere)
        var publisher = Publisher.ready(havingSent: [first])
        _ = refuse(&publisher, 404, "NOT_FOUND - no exchange 'nowhere' in vhost '/'")
        let second = publish(to: nowhere)
        let right = publish(id: "right")
        _ = publisher.enqueue([second, right])
        #expect(sendRest(&publisher) == ["right"])
        #expect(await failure(of: second) == .notFound)
        // Once this client declares it, or after a second, it may exist.
        publisher.exchangeDeclared("nowhere")
        let third = publish(to: nowhere, id: "third")
        _ = publisher.enqueue([third])
        #expect(sendNext(&publisher) === third)
    }

    @Test func `A missing exchange is forgotten after a second`() async {
        let nowhere = Destination(exchange: "nowhere", routingKey: "x")
        var publisher = Publisher.ready(havingSent: [publish(to: nowhere)])
        let reply = BrokerReply(code: 404, text: "NOT_FOUND - no exchange 'nowhere' in vhost '/'")
        _ = publisher.channelClosed(reply, byPublish: true, now: start - .seconds(2))
        let second = publish(to: nowhere, id: "second")
        _ = publisher.enqueue([second])
        publisher.becomeReady(channel: 2)
        #expect(sendNext(&publisher) === second)
    }

    @Test func `When an exchange is deleted, only the last publish to it has certainly not been kept`() async {
        let exchange = Destination(exchange: "letters", routingKey: "x")
        let confirmed = publish(to: exchange)
        let others = (1...2).map { publish(to: exchange, id: "\($0)") }
        var publisher = Publisher.ready(havingSent: [confirmed] + others)
        publisher.acknowledged(1, multiple: false)
        _ = refuse(&publisher, 404, "NOT_FOUND - no exchange 'letters' in vhost '/'")
        #expect(await failure(of: others[0]) == .channelLost)
        #expect(await failure(of: others[1]) == .notFound)
    }

    @Test func `A body larger than the broker's limit fails, and so do later ones of that size`() async {
        let large = publish(id: "large", size: 300)
        let small = publish(id: "small", size: 200)
        var publisher = Publisher.ready(havingSent: [small, large])
        _ = refuse(&publisher, 406, "PRECONDITION_FAILED - message size 300 is larger than configured max size 200")
        #expect(await failure(of: large) == .messageTooLarge)
        let larger = publish(id: "larger", size: 201)
        _ = publisher.enqueue([larger])
        #expect(sendRest(&publisher) == ["small"])
        #expect(await failure(of: larger) == .messageTooLarge)
    }

    @Test func `Innocent publishes never fail because the broker closes connections for another's fault`() async {
        let innocents = (1...3).map { publish(id: "\($0)") }
        let culprit = publish(id: "culprit")
        var publisher = Publisher.ready(havingSent: innocents + [culprit])
        let fault = AMQPError(.connectionClosed, "", reply: BrokerReply(code: 541, text: "INTERNAL_ERROR"))
        _ = publisher.connectionLost(fault)
        var tag: UInt64 = 0
        while !culprit.isDone {
            if publisher.connected() != nil {
                publisher.becomeReady()
                tag = 0
            }
            guard let publish = sendNext(&publisher) else { break }
            tag += 1
            #expect(sendNext(&publisher) == nil)
            if publish === culprit {
                _ = publisher.connectionLost(fault)
            } else {
                publisher.acknowledged(tag, multiple: false)
            }
        }
        #expect(await failure(of: culprit) == .connectionLost)
        for innocent in innocents { #expect(await failure(of: innocent) == nil) }
    }

    @Test func `A publisher that was asked to pause goes on when it may, or on another channel`() {
        let publish = publish()
        var publisher = Publisher.ready()
        publisher.setPaused(true)
        _ = publisher.enqueue([publish])
        #expect(!publisher.isReadyToSend)
        publisher.setPaused(false)
        #expect(publisher.isReadyToSend)
        publisher.setPaused(true)
        _ = publisher.channelClosed(BrokerReply(code: 320, text: ""), byPublish: false, now: start)
        publisher.becomeReady(channel: 2)
        #expect(sendNext(&publisher) === publish)
    }

    @Test func `Spread deadlines of many publishes are looked at together, a little late`() {
        let publishes = (0..<5000).map { publish(id: "\($0)", deadlineIn: 1) }
        let late = (1...5).map { number in
            PendingPublish(
                publishes[0].message,
                properties: [],
                to: .queue("q"),
                mandatory: false,
                deadline: start + .seconds(1) + .milliseconds(number)
            )
        }
        var publisher = Publisher.ready()
        publisher.blockedReason = "disk"
        _ = publisher.enqueue(
            publishes.map {
                PendingPublish(
                    $0.message,
                    properties: [],
                    to: .queue("q"),
                    mandatory: false,
                    deadline: start + .seconds(60)
                )
            } + late
        )
        publisher.expire(now: late[0].deadline)
        #expect(late[0].isDone && !late[1].isDone)
        let next = publisher.nextDeadline ?? start
        #expect(next > late[1].deadline)
        #expect(next <= late[0].deadline + .milliseconds(100))
        publisher.expire(now: next)
        for publish in late { #expect(publish.isDone) }
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

    @Test func `A publish that may have made the broker close the connection is sent at most twice`() async {
        let publish = publish()
        var publisher = Publisher.ready(havingSent: [publish])
        let fault = AMQPError(.connectionClosed, "", reply: BrokerReply(code: 541, text: "INTERNAL_ERROR"))
        _ = publisher.connectionLost(fault)
        #expect(!publish.isDone)
        _ = publisher.connected()
        publisher.becomeReady()
        #expect(sendNext(&publisher) === publish)
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
