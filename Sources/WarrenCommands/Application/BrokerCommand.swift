public import AMQP
public import ArgumentParser
import Configuration
public import Logging

/// A command that talks to the broker: an application's own commands can be ones too.
public protocol BrokerCommand: AsyncParsableCommand {
    /// Where the broker is, and how much to log.
    var brokerOptions: BrokerOptions { get }
    /// How much is logged where `--log-level` isn't given.
    static var standardLogLevel: Logger.Level { get }
}

extension BrokerCommand {
    /// Warnings and errors.
    public static var standardLogLevel: Logger.Level { .warning }

    var logLevel: Logger.Level { brokerOptions.logLevel ?? Self.standardLogLevel }
}

/// The options of every command that talks to the broker.
public struct BrokerOptions: ParsableArguments {
    /// The broker's URL, if the command line gives one.
    @Option(
        name: .customLong("broker"),
        help: ArgumentHelp(
            "The broker's URL, such as amqps://user:password@host/vhost.",
            discussion: """
                Several, with commas between them, are the nodes of a cluster; memory:// is a broker in this process. Default: $WARREN_BROKER_URL, else \
                \(BrokerLocation.defaultURL). Other users of the machine can see a password on a command line, but not one in the \
                environment.
                """,
            valueName: "url"
        )
    )
    var url: String?

    /// How much to log, if the command line says so.
    @Option(
        help: ArgumentHelp(
            "trace, debug, info, notice, warning, error or critical, to standard error.",
            valueName: "level"
        ),
        transform: BrokerOptions.level
    )
    var logLevel: Logger.Level?

    /// Options of which none is given.
    public init() {}

    /// Connects as the options say, and closes the connection afterwards.
    ///
    /// - Parameter name: The name under which the broker's operator sees the connection.
    /// - Parameter application: Whose ``WarrenApplication/openBroker(at:name:)`` opens the broker.
    public func withBroker<Value>(
        as name: String,
        of application: any WarrenApplication.Type,
        _ body: (any Transport) async throws -> Value
    ) async throws -> Value {
        let location = BrokerLocation(option: url, environment: ConfigReader(provider: EnvironmentVariablesProvider()))
        let broker = try await application.openBroker(at: location.text, name: name)
        do {
            let value = try await body(broker)
            await broker.close()
            return value
        } catch {
            await broker.close()
            throw error
        }
    }

    private static func level(_ name: String) throws -> Logger.Level {
        guard let level = Logger.Level(rawValue: name) else {
            let levels = Logger.Level.allCases.map(\.rawValue).joined(separator: ", ")
            throw ValidationError("'\(name)' is no log level: choose from \(levels).")
        }
        return level
    }
}

/// Where the broker is: what the command line says, else what the environment says, else the local one.
struct BrokerLocation {
    /// The broker that a fresh RabbitMQ on this machine is.
    static let defaultURL = "amqp://guest:guest@127.0.0.1:5672/%2f"

    let text: String

    /// - Parameter option: The value of `--broker`.
    /// - Parameter environment: Read for `WARREN_BROKER_URL`. The value may hold a password, so it is read as a secret.
    init(option: String?, environment: ConfigReader) {
        text = option ?? environment.string(forKey: "warren.broker.url", isSecret: true, default: Self.defaultURL)
    }
}
