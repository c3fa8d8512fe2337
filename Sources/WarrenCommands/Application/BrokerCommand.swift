public import AMQP
public import ArgumentParser
import Configuration
public import Logging

/// A command that connects to the broker.
///
/// An application's own commands can conform to it too.
public protocol BrokerCommand: AsyncParsableCommand {
    /// The options that say where the broker is and how much to log.
    var brokerOptions: BrokerOptions { get }
    /// The log level if `--log-level` isn't given; by default `warning`.
    static var standardLogLevel: Logger.Level { get }
}

extension BrokerCommand {
    /// Warnings and errors.
    public static var standardLogLevel: Logger.Level { .warning }

    var logLevel: Logger.Level { brokerOptions.logLevel ?? Self.standardLogLevel }
}

/// The options of every command that connects to the broker.
public struct BrokerOptions: ParsableArguments {
    @Option(
        name: .customLong("broker"),
        help: ArgumentHelp(
            "The broker's URL, such as amqps://user:password@host/vhost.",
            discussion: """
                For a cluster, give the URLs of its nodes, separated by commas. memory:// is a broker inside this process. \
                Default: $WARREN_BROKER_URL, or else \(BrokerLocation.defaultURL). Other users of this machine can see a \
                password on a command line, but not one in the environment.
                """,
            valueName: "url"
        )
    )
    var url: String?

    @Option(
        help: ArgumentHelp(
            "The lowest level to log to standard error: trace, debug, info, notice, warning, error or critical.",
            valueName: "level"
        ),
        transform: BrokerOptions.level
    )
    var logLevel: Logger.Level?

    @Option(
        help: ArgumentHelp(
            "The form of the log on standard error: text, or json for a JSON object a line.",
            discussion: "The object has time, level, label, message, metadata.",
            valueName: "format"
        )
    )
    var logFormat = LogFormat.text

    /// Creates options without values.
    public init() {}

    /// Opens the broker that the options name, runs `body` with it, and closes it, also when `body` throws.
    ///
    /// - Parameter name: The name of the connection, shown to the broker's operator.
    /// - Parameter closingTime: The time for closing the broker, after which this returns without waiting for its
    ///   answer; `nil` for as long as the broker's transport takes.
    /// - Parameter application: The application whose ``WarrenApplication/openBroker(at:name:)`` opens the broker.
    /// - Parameter body: The work to do with the broker.
    public func withBroker<Value>(
        as name: String,
        of application: any WarrenApplication.Type,
        closingWithin closingTime: Duration? = nil,
        _ body: (any Transport) async throws -> Value
    ) async throws -> Value {
        let location = BrokerLocation(option: url, environment: ConfigReader(provider: EnvironmentVariablesProvider()))
        let broker = try await application.openBroker(at: location.text, name: name)
        do {
            let value = try await body(broker)
            await close(broker, within: closingTime)
            return value
        } catch {
            await close(broker, within: closingTime)
            throw error
        }
    }

    private func close(_ broker: any Transport, within limit: Duration?) async {
        guard let limit else { return await broker.close() }
        let (ends, end) = AsyncStream.makeStream(of: Void.self)
        Task {
            await broker.close()
            end.yield()
        }
        let timer = Task {
            try await Task.sleep(for: limit)
            end.yield()
        }
        for await _ in ends { break }
        timer.cancel()
    }

    private static func level(_ name: String) throws -> Logger.Level {
        guard let level = Logger.Level(rawValue: name) else {
            let levels = Logger.Level.allCases.map(\.rawValue).joined(separator: ", ")
            throw ValidationError("'\(name)' is not a log level. Use one of: \(levels).")
        }
        return level
    }
}

/// The broker's URL: from the command line, or else from the environment, or else the local default.
struct BrokerLocation {
    /// The URL of a fresh RabbitMQ installation on this machine.
    static let defaultURL = "amqp://guest:guest@127.0.0.1:5672/%2f"

    let text: String

    /// - Parameter option: The value of `--broker`.
    /// - Parameter environment: Read for `WARREN_BROKER_URL`. The value may hold a password, so it is read as a secret.
    init(option: String?, environment: ConfigReader) {
        text = option ?? environment.string(forKey: "warren.broker.url", isSecret: true, default: Self.defaultURL)
    }
}
