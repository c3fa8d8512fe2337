import ArgumentParser
import Configuration
import RabbitMQ

/// The option that says where RabbitMQ's management API is, for what AMQP doesn't expose.
struct ManagementOptions: ParsableArguments {
    @Option(
        help: ArgumentHelp(
            "RabbitMQ's management API, such as http://user:password@host:15672.",
            discussion:
                "Default: $WARREN_BROKER_MANAGEMENT_URL; without one, the API isn't used. Without a user, the broker URL's user is.",
            valueName: "url"
        )
    )
    var management: String?

    /// The management API of the broker; `nil` if no URL is configured.
    ///
    /// - Throws: `ValidationError` for a URL that can't be used; `invalidURL` for the broker's.
    func reader(_ brokerOptions: BrokerOptions) throws -> ManagementReader? {
        let environment = ConfigReader(provider: EnvironmentVariablesProvider())
        guard
            let text = management
                ?? environment.string(forKey: "warren.broker.management.url", isSecret: true)
        else { return nil }
        let location = BrokerLocation(option: brokerOptions.url, environment: environment).text
        guard location.hasPrefix("amqp") else { return nil }
        let broker = try BrokerURL.list(location)[0]
        return ManagementReader(
            url: try ManagementURL(text, credentials: broker.credentials),
            virtualHost: broker.virtualHost
        )
    }
}
