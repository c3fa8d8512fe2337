import AMQP
public import ArgumentParser
import Warren

/// `doctor`: finds problems with the broker's set-up for this application, with their consequences and remedies.
public struct DoctorCommand<App: WarrenApplication>: BrokerCommand {
    /// The command's name and help.
    public static var configuration: CommandConfiguration {
        CommandConfiguration(
            commandName: "doctor",
            abstract: "Find problems with the broker's set-up.",
            discussion: """
                Compares the application's needs with the broker: version, alarms, exchanges, queues and their arguments, the \
                delay ladder, delivery limits, the consumer timeout, consumers. Given the URL of RabbitMQ's management API, it \
                also checks policies, bindings, nodes, members of quorum queues and the clock.

                It changes nothing that exists. It declares existing queues so that the broker compares them, and publishes two \
                empty messages to a temporary queue.

                With --json, each line is an object: severity (error, warning, note), check (version, access, alarms, nodes, topology, \
                ladder, bindings, policies, delivery-limit, consumer-timeout, shutdown, clock, queues), subject, problem, \
                consequence, remedy.

                Exit codes: 0 nothing worse than notes, 1 warnings, 2 errors, 3 the broker could not be examined, 64 the command \
                line is invalid.
                """
        )
    }

    @OptionGroup var target: TargetOptions<App>

    @OptionGroup var management: ManagementOptions

    @Option(
        help: ArgumentHelp(
            "The consumer_timeout in the broker's rabbitmq.conf, which can't be queried; 0 for none.",
            discussion: "Default: the default of the broker's version.",
            valueName: "duration"
        )
    )
    var consumerTimeout: DurationArgument?

    @Option(help: ArgumentHelp("The --shutdown-timeout of the workers.", valueName: "duration"))
    var shutdownTimeout = DurationArgument(.seconds(25))

    @OptionGroup var output: OutputOptions
    /// The broker and the log level.
    @OptionGroup public var brokerOptions: BrokerOptions

    /// Creates the command, for its parser.
    public init() {}

    /// Reads the facts, prints the findings, and exits with a code by severity.
    public func run() async throws {
        let reader = try management.reader(brokerOptions)
        var facts: DoctorFacts
        do {
            facts = try await brokerOptions.withBroker(as: "doctor", of: App.self) { broker in
                let (topology, queues) = try await target.resolved(on: broker, reader)
                return try await FactReader(transport: broker, topology: topology, queues: queues).read()
            }
        } catch {
            guard let line = ErrorLine.text(for: error) else { throw error }
            Output.note("Error: \(line)")
            throw Diagnosis.inspectionFailed
        }
        facts.management = await reader?.read()
        facts.jobs = App.jobs.map { JobLimits(of: $0) }.filter { facts.queues.contains($0.queue) }
        facts.assumptions = DoctorAssumptions(
            consumerTimeout: consumerTimeout?.duration,
            shutdownTimeout: shutdownTimeout.duration
        )
        try print(Diagnosis(facts), facts)
    }

    private func print(_ diagnosis: Diagnosis, _ facts: DoctorFacts) throws {
        if output.isJSON {
            for finding in diagnosis.findings { try Output.json(finding) }
        } else {
            Output.line(diagnosis.text(broker: facts.broker, queues: facts.queues.map(\.rawValue)))
        }
        guard diagnosis.exitCode == .success else { throw diagnosis.exitCode }
    }
}
