import AMQP
import Testing

@Suite("A message")
struct MessageTests {
    @Test("A message made of text has it as UTF-8 and sets no property")
    func text() {
        #expect(Message("Grüße") == Message(body: Array("Grüße".utf8)))
    }
}
