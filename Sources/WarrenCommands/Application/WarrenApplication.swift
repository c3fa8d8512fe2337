public import AMQP
public import ArgumentParser
import Brokers
public import Logging
public import Warren

/// A program built around an application's jobs: declare the jobs and their handlers, and get the commands that run and
/// operate them.
///
/// ```swift
/// @main
/// struct Mailer: WarrenApplication {
///     static let jobs: [any Job.Type] = [SendEmail.self]
///
///     static func handlers(_ setup: WorkerSetup<NoOptions>) -> [JobRegistration] {
///         let mailer = SMTPClient()
///         Handler(SendEmail.self) { email, context in try await mailer.send(email) }
///     }
/// }
/// ```
/// This gives `mailer worker`, `mailer enqueue emails.send --json …`, `mailer status`, `mailer topology plan|apply`,
/// `mailer dead list|show|replay|discard`, `mailer doctor` and `mailer health`. A program with further commands adds
/// them to these:
///
/// ```swift
/// static let configuration = CommandConfiguration(
///     abstract: "Sends mail.",
///     subcommands: commands(with: [ImportAddresses.self])
/// )
/// ```
public protocol WarrenApplication: AsyncParsableCommand {
    /// The application's own options of the `worker` command, for its handlers.
    associatedtype WorkerOptions: ParsableArguments & Sendable = NoOptions
    /// The options on which the topology depends, taken by every command that needs it.
    associatedtype TopologyOptions: ParsableArguments = NoOptions

    /// The application's kinds of job.
    ///
    /// `enqueue` checks payloads against them. Their queues, with those of the topology, are the ones that every
    /// command works on unless `--queues` names others.
    static var jobs: [any Job.Type] { get }

    /// The application's exchanges, and the queues whose configuration differs from the default.
    static var topology: Topology { get }

    /// Returns the topology for the given options; by default ``topology``, whatever the options.
    ///
    /// - Parameter options: The parsed options of the command.
    /// - Parameter queues: The queues named on the command line.
    static func topology(_ options: TopologyOptions, for queues: [QueueName]) throws -> Topology

    /// Creates a worker's handlers, before the worker starts.
    ///
    /// - Parameter setup: The values to create handlers from.
    @HandlerBuilder
    static func handlers(_ setup: WorkerSetup<WorkerOptions>) async throws -> [JobRegistration]

    /// Opens the broker that a command works on; by default with `Broker.open`: RabbitMQ, and `memory://`.
    ///
    /// An application that keeps its jobs in a file opens `file:` URLs here, with the module `EmbeddedStore`:
    ///
    /// ```swift
    /// static func openBroker(at url: String, name: String) async throws -> any Transport {
    ///     url.hasPrefix("file:") ? try await EmbeddedBroker.open(url: url) : try await Broker.open(url, name: name)
    /// }
    /// ```
    ///
    /// An application whose passwords are rotated, or whose tokens expire, passes their source:
    ///
    /// ```swift
    /// static func openBroker(at url: String, name: String) async throws -> any Transport {
    ///     try await Broker.open(url, name: name, credentials: { try await identityProvider.credentials() })
    /// }
    /// ```
    ///
    /// - Parameter url: The URL from `--broker` or `$WARREN_BROKER_URL`.
    /// - Parameter name: The name of the connection, shown to the broker's operator.
    static func openBroker(at url: String, name: String) async throws -> any Transport

    /// Sets up logging for the process; by default to standard error.
    ///
    /// Called once, before the command runs.
    ///
    /// - Parameter level: The level of `--log-level`, or else the command's default.
    /// - Parameter format: The format of `--log-format`, or else text.
    static func bootstrapLogging(level: Logger.Level, format: LogFormat)
}

/// An empty set of options, for an application that adds none.
public struct NoOptions: ParsableArguments, Sendable {
    /// Creates the empty set.
    public init() {}
}

extension WarrenApplication {
    /// The default topology: nothing configured.
    public static var topology: Topology { Topology() }

    /// Returns ``topology``, whatever the options.
    public static func topology(_ options: TopologyOptions, for queues: [QueueName]) -> Topology { topology }

    /// Opens RabbitMQ or `memory://` with `Broker.open`.
    public static func openBroker(at url: String, name: String) async throws -> any Transport {
        try await Broker.open(url, name: name)
    }

    /// Sends all logs to standard error.
    public static func bootstrapLogging(level: Logger.Level, format: LogFormat) {
        LoggingSystem.bootstrap { format.handler(label: $0, level: level) }
    }

    /// The queues of the application: those of its jobs and those that its topology configures.
    static func queues(_ topology: Topology) -> [QueueName] {
        let all = jobs.map { $0.queue } + topology.queues.map(\.name)
        return Set(all).sorted()
    }
}

extension WarrenApplication {
    /// The commands that every application gets.
    public static var standardCommands: [any ParsableCommand.Type] {
        [
            WorkerCommand<Self>.self,
            EnqueueCommand<Self>.self,
            StatusCommand<Self>.self,
            TopologyCommand<Self>.self,
            DeadCommand<Self>.self,
            DoctorCommand<Self>.self,
            HealthCommand.self,
        ]
    }

    /// Returns the application's own commands, followed by the standard ones.
    ///
    /// - Parameter own: The application's commands. Each replaces the standard command of the same name, if there is
    ///   one.
    public static func commands(with own: [any ParsableCommand.Type]) -> [any ParsableCommand.Type] {
        let taken = Set(own.map { $0.name })
        return own + standardCommands.filter { !taken.contains($0.name) }
    }

    /// The default configuration: the standard commands, under the name of the application's type.
    public static var configuration: CommandConfiguration { CommandConfiguration(subcommands: standardCommands) }

    /// Parses the command line, sets up logging and runs the command.
    ///
    /// The process exits with 0 if the command succeeded, 1 if it failed, and 64 if the command line is invalid. An
    /// error is reported in one line on standard error.
    @concurrent
    public static func main() async {
        do {
            var command = try await asyncParseAsRoot(nil)
            let brokerCommand = command as? any BrokerCommand
            bootstrapLogging(
                level: brokerCommand?.logLevel ?? .warning,
                format: brokerCommand?.brokerOptions.logFormat ?? .text
            )
            if var asynchronous = command as? any AsyncParsableCommand {
                try await asynchronous.run()
            } else {
                try command.run()
            }
        } catch {
            guard let line = ErrorLine.text(for: error) else { exit(withError: error) }
            Output.note("Error: \(line)")
            exit(withError: ExitCode.failure)
        }
    }
}

extension ParsableCommand {
    fileprivate static var name: String { configuration.commandName ?? _commandName }
}
