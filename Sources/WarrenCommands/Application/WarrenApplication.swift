public import AMQP
public import ArgumentParser
import Brokers
public import Logging
public import Warren

/// A program around an application's jobs: it declares them, and gets the commands to run and operate them.
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
/// That is `mailer worker`, `mailer enqueue emails.send --json …`, `mailer status`, `mailer topology plan|apply`,
/// `mailer dead list|show|replay|discard` and `mailer doctor`. A program with commands of its own lists them:
///
/// ```swift
/// static let configuration = CommandConfiguration(
///     abstract: "Sends mail.",
///     subcommands: commands(with: [ImportAddresses.self])
/// )
/// ```
public protocol WarrenApplication: AsyncParsableCommand {
    /// What the `worker` command takes beside its own options, for the application's handlers.
    associatedtype WorkerOptions: ParsableArguments & Sendable = NoOptions
    /// What all commands take that need to know the topology, where it isn't fixed.
    associatedtype TopologyOptions: ParsableArguments = NoOptions

    /// The kinds of job. `enqueue` checks payloads against them, and their queues are those that all commands are about unless told
    /// otherwise.
    static var jobs: [any Job.Type] { get }

    /// The application's exchanges and the queues that differ from the default.
    static var topology: Topology { get }

    /// The topology that the options ask for; ``topology``, if the application doesn't say.
    ///
    /// - Parameter queues: The queues named on the command line.
    static func topology(_ options: TopologyOptions, for queues: [QueueName]) throws -> Topology

    /// Makes the handlers of a worker, before it starts.
    @HandlerBuilder
    static func handlers(_ setup: WorkerSetup<WorkerOptions>) async throws -> [JobRegistration]

    /// Opens the broker that a command works on: as `Broker.open`, if the application doesn't say.
    ///
    /// One whose jobs are in a file opens `file:` URLs here, with the module `EmbeddedStore`:
    ///
    /// ```swift
    /// static func openBroker(at url: String, name: String) async throws -> any Transport {
    ///     url.hasPrefix("file:") ? try await EmbeddedBroker.open(url: url) : try await Broker.open(url, name: name)
    /// }
    /// ```
    ///
    /// - Parameter url: What `--broker` or `$WARREN_BROKER_URL` says.
    /// - Parameter name: The name under which the broker's operator is to see the connection.
    static func openBroker(at url: String, name: String) async throws -> any Transport

    /// Decides where the process logs to: standard error, if the application doesn't say.
    ///
    /// It is called once, before the command is run.
    static func bootstrapLogging(level: Logger.Level)
}

extension WarrenApplication {
    /// The default topology: nothing configured.
    public static var topology: Topology { Topology() }

    /// ``topology``, whatever the options.
    public static func topology(_ options: TopologyOptions, for queues: [QueueName]) -> Topology { topology }

    /// What `Broker.open` opens: RabbitMQ, and `memory://`.
    public static func openBroker(at url: String, name: String) async throws -> any Transport {
        try await Broker.open(url, name: name)
    }

    /// Sends all logs to standard error.
    public static func bootstrapLogging(level: Logger.Level) {
        LoggingSystem.bootstrap { label in
            var handler = StreamLogHandler.standardError(label: label)
            handler.logLevel = level
            return handler
        }
    }

    /// The queues of the application: those of its jobs and those its topology configures.
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

    /// The standard commands and the application's own, which come first.
    ///
    /// A standard command gives way to an own one of the same name.
    public static func commands(with own: [any ParsableCommand.Type]) -> [any ParsableCommand.Type] {
        let taken = Set(own.map { $0.name })
        return own + standardCommands.filter { !taken.contains($0.name) }
    }

    /// The standard commands, under the name of the application's type.
    public static var configuration: CommandConfiguration { CommandConfiguration(subcommands: standardCommands) }
}

extension ParsableCommand {
    fileprivate static var name: String { configuration.commandName ?? _commandName }
}

extension WarrenApplication {
    /// Parses the command line, sets up logging and runs the command.
    ///
    /// The process's exit code is 0 if the command did what it should, 1 if it failed, and 64 if the command line can't be understood. An
    /// error is one line on standard error.
    @concurrent
    public static func main() async {
        do {
            var command = try await asyncParseAsRoot(nil)
            bootstrapLogging(level: (command as? any BrokerCommand)?.logLevel ?? .warning)
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

/// No options: what an application has that adds none of its own.
public struct NoOptions: ParsableArguments, Sendable {
    /// No options.
    public init() {}
}
