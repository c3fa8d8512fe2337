import AMQP
import Brokers
import Configuration
import EmbeddedBroker
import RabbitMQ
import Testing

@testable import WarrenCommands

struct BrokerLocationTests {
    private func location(option: String?, environment: [String: String]) -> BrokerLocation {
        BrokerLocation(
            option: option,
            environment: ConfigReader(provider: EnvironmentVariablesProvider(environmentVariables: environment))
        )
    }

    @Test func `The command line takes precedence over the environment`() {
        let location = location(option: "amqp://one", environment: ["WARREN_BROKER_URL": "amqp://two"])
        #expect(location.text == "amqp://one")
    }

    @Test func `The environment takes precedence over the default`() {
        #expect(location(option: nil, environment: ["WARREN_BROKER_URL": "amqp://two"]).text == "amqp://two")
    }

    @Test func `The default is a fresh RabbitMQ on this machine`() throws {
        let location = location(option: nil, environment: [:])
        #expect(location.text == "amqp://guest:guest@127.0.0.1:5672/%2f")
        #expect(try BrokerURL.list(location.text)[0].endpoint.port == 5672)
    }

    @Test(arguments: [
        "http://me:sesame@host", "amqp://me:sesame@host:0", "amqp://me:sesame@host/a/b",
        "amqp://me:sesame@host?x=sesame",
    ]
    )
    func `An unusable URL is reported without its password`(text: String) async {
        let error = await #expect(throws: AMQPError.self) { try await Broker.open(text) }
        #expect(error.flatMap { ErrorLine.text(for: $0) }?.contains("sesame") == false)
    }

    @Test func `A broker inside the process has a URL too`() async throws {
        #expect(try await Broker.open("memory://") is EmbeddedBroker)
        #expect(try await Broker.open("amqp://host") is RabbitMQClient)
        for text in ["memory:", "memory://jobs", "file:///tmp/jobs.db"] {
            await #expect(throws: AMQPError.self) { try await Broker.open(text) }
        }
    }
}
