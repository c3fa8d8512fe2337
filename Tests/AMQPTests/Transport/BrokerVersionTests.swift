import AMQP
import Testing

struct BrokerVersionTests {
    @Test(arguments: [
        ("3.10.8", BrokerVersion(3, 10, 8)), ("4.1.0-rc.1", BrokerVersion(4, 1, 0)), ("4.3", BrokerVersion(4, 3)),
        ("4", BrokerVersion(4, 0)), ("3.12.1+5.g1a2b3c", BrokerVersion(3, 12, 1)),
    ]
    )
    func `A version is read from the text that a broker sends`(_ text: String, _ version: BrokerVersion) {
        #expect(BrokerVersion(text) == version)
    }

    @Test(arguments: ["", "rabbit", "v4.0", ".1"])
    func `A text that doesn't begin with a number is not a version`(_ text: String) {
        #expect(BrokerVersion(text) == nil)
    }

    @Test func `Versions are compared number by number, not as text`() {
        #expect(BrokerVersion(3, 9, 9) < BrokerVersion(3, 10, 8))
        #expect(BrokerVersion(3, 13, 7) < BrokerVersion(4, 0))
        #expect(BrokerVersion(4, 0, 1) < BrokerVersion(4, 0, 10))
        #expect("\(BrokerVersion(4, 3))" == "4.3.0")
    }
}
