import AMQP
import Testing

struct NamesValidationTests {
    let tooLong = String(repeating: "é", count: 128)
    let longest = String(repeating: "é", count: 127) + "x"

    func refusal(_ code: () throws(AMQPError) -> Void) throws -> String {
        do throws(AMQPError) {
            try code()
        } catch {
            #expect(error.code == .invalidArgument)
            return error.message
        }
        Issue.record("Nothing was refused.")
        return ""
    }

    @Test func `Names and keys of 255 bytes are accepted everywhere`() throws {
        try QueueDeclaration(longest).validate()
        try ExchangeDeclaration(longest, kind: .topic, alternateExchange: longest).validate()
        try Binding(from: longest, to: .queue(longest), routingKey: longest).validate()
        try Destination(exchange: longest, routingKey: longest).validate()
    }

    @Test func `Names and keys of 256 bytes are refused, and the error says which`() throws {
        #expect(
            try refusal { () throws(AMQPError) in try QueueDeclaration(tooLong).validate() }.contains("queue's name")
        )
        #expect(
            try refusal { () throws(AMQPError) in try ExchangeDeclaration(tooLong, kind: .topic).validate() }
                .contains("exchange's name")
        )
        #expect(
            try refusal { () throws(AMQPError) in
                try Binding(from: "x", to: .queue("q"), routingKey: tooLong).validate()
            }.contains("routing key of the binding from 'x' to 'q'")
        )
        #expect(
            try refusal { () throws(AMQPError) in try Destination(exchange: "", routingKey: tooLong).validate() }
                .contains("256 bytes")
        )
    }

    @Test(arguments: ["a\nb", "a\r", "a\r\nb"])
    func `A line end is refused, since RabbitMQ removes it from names`(_ name: String) throws {
        #expect(try refusal { () throws(AMQPError) in try QueueDeclaration(name).validate() }.contains("line end"))
        #expect(
            try refusal { () throws(AMQPError) in try Destination(exchange: name, routingKey: "").validate() }
                .contains("line end")
        )
    }

    @Test func `The default exchange is neither declared nor bound`() throws {
        #expect(
            try refusal { () throws(AMQPError) in try ExchangeDeclaration("", kind: .direct).validate() }
                .contains("default exchange")
        )
        #expect(
            try refusal { () throws(AMQPError) in try Binding(from: "", to: .queue("q"), routingKey: "q").validate() }
                .contains("default exchange")
        )
    }

    @Test func `The error for a queue's arguments begins with the queue's name`() throws {
        let queue = QueueDeclaration("emails", arguments: QueueArguments(.quorum) { $0.maxPriority = 1 })
        #expect(
            try refusal { () throws(AMQPError) in try queue.validate() }
                .hasPrefix("Queue 'emails': Queue argument x-max-priority")
        )
    }

    @Test(arguments: [QueueKind.quorum, .stream]
    )
    func `A quorum queue or stream must be named, durable, shared and permanent`(_ kind: QueueKind) throws {
        let arguments = QueueArguments(kind)
        let queues = [
            ("no name", QueueDeclaration("", arguments: arguments)),
            ("not durable", QueueDeclaration("q", isDurable: false, arguments: arguments)),
            ("exclusive", QueueDeclaration("q", isExclusive: true, arguments: arguments)),
            ("auto-delete", QueueDeclaration("q", isAutoDelete: true, arguments: arguments)),
        ]
        for (words, queue) in queues {
            #expect(try refusal { () throws(AMQPError) in try queue.validate() }.contains(words))
        }
        try QueueDeclaration("", isDurable: false, isExclusive: true, isAutoDelete: true).validate()
    }

    @Test func `The error for a property names it`() throws {
        for (path, name) in [
            (\BasicProperties.contentType, "content-type"), (\.contentEncoding, "content-encoding"),
            (\.correlationID, "correlation-id"), (\.replyTo, "reply-to"), (\.expiration, "expiration"),
            (\.messageID, "message-id"), (\.type, "type"), (\.userID, "user-id"), (\.appID, "app-id"),
        ] as [(WritableKeyPath<BasicProperties, String?>, String)] {
            var properties = BasicProperties()
            properties[keyPath: path] = tooLong
            #expect(try refusal { () throws(AMQPError) in try properties.validate() }.contains(name))
        }
    }

    @Test(arguments: ["", "-1", "1.5", "1s", "+1", "315360000001"]
    )
    func `An expiration is whole milliseconds of at most ten years`(_ text: String) throws {
        var properties = BasicProperties()
        properties.expiration = "315360000000"
        try properties.validate()
        properties.expiration = text
        #expect(try refusal { () throws(AMQPError) in try properties.validate() }.contains("expiration is '\(text)'"))
    }

    @Test func `A header whose number RabbitMQ can't read is refused with its place`() throws {
        var properties = BasicProperties()
        properties.headers = ["a": [["b": .double(.nan)]]]
        #expect(try refusal { () throws(AMQPError) in try properties.validate() }.contains("'headers.a[0].b': is nan"))
        properties.headers = ["f": .float(.infinity)]
        #expect(try refusal { () throws(AMQPError) in try properties.validate() }.contains("'headers.f'"))
        properties.headers = [tooLong: 1]
        #expect(try refusal { () throws(AMQPError) in try properties.validate() }.contains("its name has 256 bytes"))
        properties.headers = ["ok": .double(1.5), "list": [1, "two"]]
        try properties.validate()
    }
}
