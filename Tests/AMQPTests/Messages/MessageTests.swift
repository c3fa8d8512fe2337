import AMQP
import Testing

@Suite("A message")
struct MessageTests {
    @Test("can be made of text, sent as UTF-8 without any property")
    func text() {
        #expect(Message("Grüße") == Message(body: Array("Grüße".utf8)))
    }
}
