import AMQP
import Testing

@testable import WarrenLoad

@Suite struct HostileMessagesTests {
    private var hostile: HostileMessages {
        var sample = Message(body: Array(#"[[],{"milliseconds":1},{}]"#.utf8))
        sample.properties.headers = ["task": "t", "id": "i", "lang": "swift"]
        return HostileMessages(sample: sample)
    }

    @Test func `A number makes the same message each time, which its id identifies`() {
        for number in 0..<200 {
            let message = hostile.message(number)
            // Compared as text, since NaN differs from itself.
            #expect("\(message)" == "\(hostile.message(number))")
            #expect(message.properties.messageID == "hostile-\(number)")
        }
    }

    @Test func `The largest message has the maximum size, and the deepest the requested depth`() {
        #expect(hostile.large(1).body.count == Message.maximumBodySize)
        #expect(hostile.deep(1, levels: 10).body.count == 20)
    }
}
