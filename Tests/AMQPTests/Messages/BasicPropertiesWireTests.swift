import AMQP
import Testing

struct BasicPropertiesWireTests {
    @Test func `Properties are two bytes of flags and the values in the flags' order`() throws {
        var properties = BasicProperties()
        properties.contentType = "a"
        properties.headers = ["k": true]
        properties.deliveryMode = .persistent
        properties.messageID = "id"
        properties.timestamp = 1
        properties.appID = "w"
        let bytes: [UInt8] = [
            0b1011_0000, 0b1100_1000, 1, 0x61, 0, 0, 0, 4, 1, 0x6B, 0x74, 1, 2, 2, 0x69, 0x64, 0, 0, 0, 0, 0, 0, 0, 1,
            1, 0x77,
        ]
        #expect(try properties.encoded() == bytes)
        #expect(try BasicProperties(decoding: bytes) == properties)
    }

    private var none: BasicProperties {
        var properties = BasicProperties()
        properties.deliveryMode = nil
        return properties
    }

    @Test func `Properties of which none is set are two zero bytes`() throws {
        #expect(try none.encoded() == [0, 0])
        #expect(try BasicProperties(decoding: [0, 0]) == none)
    }

    @Test func `A message is persistent unless it is said otherwise`() throws {
        #expect(try BasicProperties(decoding: Message("A").properties.encoded()).deliveryMode == .persistent)
    }

    @Test func `An empty header table differs from none`() throws {
        var properties = BasicProperties()
        properties.headers = FieldTable()
        #expect(try BasicProperties(decoding: properties.encoded()).headers == FieldTable())
    }

    @Test func `A cluster-id is skipped`() throws {
        #expect(try BasicProperties(decoding: [0, 0b0000_0100, 1, 0x63]) == none)
    }

    @Test(arguments: [1, 2] as [UInt8])
    func `Properties with an unknown flag are refused`(_ flag: UInt8) throws {
        let error = try #require(throws: AMQPError.self) { try BasicProperties(decoding: [0, flag]) }
        #expect(error.code == .malformed)
    }

    @Test func `A value that is cut short is refused with its property's name`() throws {
        let error = try #require(throws: AMQPError.self) { try BasicProperties(decoding: [0, 0b0100_0000, 0, 0]) }
        #expect(error.message.contains("'timestamp'"))
        let inHeader = try #require(throws: AMQPError.self) {
            try BasicProperties(decoding: [0b0010_0000, 0, 0, 0, 0, 3, 1, 0x6B, 0x74])
        }
        #expect(inHeader.message.contains("'headers.k'"))
    }

    @Test func `A text of 256 bytes is not written, and the error names the property`() throws {
        var properties = BasicProperties()
        properties.correlationID = String(repeating: "c", count: 256)
        let error = try #require(throws: AMQPError.self) { try properties.encoded() }
        #expect(error.code == .invalidArgument)
        #expect(error.message.contains("'correlation-id'"))
    }
}
