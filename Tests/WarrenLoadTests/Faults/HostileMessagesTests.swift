import AMQP
import TestSupport
import Testing

@testable import WarrenLoad

@Suite struct HostileMessagesTests {
    @Test func `The largest message has the maximum size, and the deepest the requested depth`() {
        #expect(hostile.large(1).body.count == Message.maximumBodySize)
        #expect(hostile.deep(1, levels: 10).body.count == 20)
    }
}

@Suite struct HostileMessagesPropertyTests {
    @Test func `A number makes the same message each time, which its id identifies`() async {
        for number in 0..<PropertyRounds.count(50) {
            await Task.yield()
            let message = hostile.message(number)
            // Compared as text, since NaN differs from itself.
            #expect("\(message)" == "\(hostile.message(number))")
            #expect(message.properties.messageID == "hostile-\(number)")
        }
    }
}

private var hostile: HostileMessages {
    var sample = Message(body: Array(#"[[],{"milliseconds":1},{}]"#.utf8))
    sample.properties.headers = ["task": "t", "id": "i", "lang": "swift"]
    return HostileMessages(sample: sample)
}
