import AMQP
import Testing

@testable import RabbitMQ

struct ContentAssemblerTests {
    private let start = ContentStart.get(tag: 1, isRedelivered: false, .queue("letters"))

    @Test func `A body in pieces becomes one message`() throws {
        var assembler = ContentAssembler()
        try assembler.begin(start)
        #expect(try assembler.header(bodySize: 5, BasicProperties())?.message == nil)
        #expect(try assembler.body([1, 2])?.message == nil)
        #expect(try assembler.body([3])?.message == nil)
        let content = try #require(try assembler.body([4, 5]))
        #expect(content.message.body == [1, 2, 3, 4, 5])
        #expect(content.start == start)
    }

    @Test func `A message without a body is complete with its header`() throws {
        var assembler = ContentAssembler()
        try assembler.begin(start)
        let content = try #require(try assembler.header(bodySize: 0, BasicProperties()))
        #expect(content.message.body.isEmpty)
    }

    @Test func `One assembler handles one message after another`() throws {
        var assembler = ContentAssembler()
        for number in 0..<3 as Range<UInt8> {
            try assembler.begin(start)
            _ = try assembler.header(bodySize: 1, BasicProperties())
            #expect(try assembler.body([number])?.message.body == [number])
        }
    }

    @Test func `A frame out of order is an error`() throws {
        var assembler = ContentAssembler()
        #expect(throws: AMQPError.self) { try assembler.body([1]) }
        #expect(throws: AMQPError.self) { try assembler.header(bodySize: 1, BasicProperties()) }
        try assembler.begin(start)
        #expect(throws: AMQPError.self) { try assembler.begin(start) }
    }

    @Test func `A longer body than announced is an error`() throws {
        var assembler = ContentAssembler()
        try assembler.begin(start)
        _ = try assembler.header(bodySize: 2, BasicProperties())
        #expect(throws: AMQPError.self) { try assembler.body([1, 2, 3]) }
    }
}
