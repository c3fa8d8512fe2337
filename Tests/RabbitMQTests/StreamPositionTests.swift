import AMQP
import Testing

@testable import RabbitMQ

struct StreamPositionTests {
    private func position(_ offsets: [Int64], earliest: UInt64 = 1) -> StreamPosition {
        var position = StreamPosition()
        for (index, offset) in offsets.enumerated() {
            position.delivered(UInt64(index + 1), ["x-stream-offset": .int64(offset)], unsettledFrom: earliest)
        }
        return position
    }

    @Test func `A stream goes on behind its last delivery if all are settled`() {
        #expect(position([7, 8, 12]).next(firstUnsettled: nil) == 13)
    }

    @Test func `A stream goes on at the first delivery that isn't settled`() {
        #expect(position([7, 8, 12]).next(firstUnsettled: 2) == 8)
        #expect(position([7, 8, 12], earliest: 2).next(firstUnsettled: 3) == 12)
    }

    @Test func `Without a delivery, or without offsets, there is no position`() {
        #expect(StreamPosition().next(firstUnsettled: nil) == nil)
        var position = StreamPosition()
        position.delivered(1, nil, unsettledFrom: 1)
        position.delivered(2, ["x-stream-offset": 5], unsettledFrom: 1)
        #expect(position.next(firstUnsettled: nil) == nil)
    }

    @Test func `A recovered consumer of a stream asks for its position and keeps its other arguments`() {
        let stream = DeliveryStream(control: DeliveryStream.Control(cancel: { _ in }))
        let consumption = ConsumerChannel.Consumption(
            queue: "log",
            prefetch: 5,
            options: ConsumeOptions(arguments: ["x-stream-offset": "first", "x-priority": 3])
        )
        var consumer = ConsumerChannel(consumption, source: stream.source, started: Reply(), ref: ConsumerRef())
        for answer in [InboundMethod.channelOpenOk, .qosOk, .consumeOk(consumerTag: "t")] {
            _ = consumer.answered(answer)
        }
        for offset in [41, nil] as [Int64?] {
            // The second connection ends before anything came from it.
            _ = consumer.connectionLost(streamOffset: offset)
            consumer.opening(ChannelID(number: 1, opening: 2))
            _ = consumer.answered(.channelOpenOk)
            let action = consumer.answered(.qosOk)
            let arguments: FieldTable = ["x-stream-offset": .int64(41), "x-priority": 3]
            #expect(action == .consume(queue: "log", ConsumeOptions(arguments: arguments)))
        }
    }
}
