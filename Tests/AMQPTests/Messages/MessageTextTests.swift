import AMQP
import Testing

struct MessageTextTests {
    @Test func `A message made of text has it as UTF-8 and sets no property`() {
        #expect(Message("Grüße") == Message(body: Array("Grüße".utf8)))
    }
}
