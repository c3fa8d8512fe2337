import AMQP
public import ArgumentParser
import Configuration
import RabbitMQ
import Warren

/// `doctor`: what is wrong with the broker for this application, what will happen, and what to do.
public struct DoctorCommand<App: WarrenApplication>: BrokerCommand {
    public static var configuration: CommandConfiguration {
        CommandConfiguration(
            commandName: "doctor",
            abstract: "Look for what is wrong at the broker.",
            discussion: """
                It compares what the application needs with what the broker has: version, alarms, exchanges, queues and their \
                arguments, the delay ladder, delivery limits, the consumer timeout, consumers. With the URL of RabbitMQ's management \
                API it also looks at policies, bindings, nodes, members of quorum queues and the clock.

                It changes nothing. It declares what exists, so that the broker compares; and it publishes two empty messages to a \
                queue of its own, which it deletes.

                With --json each line is an object: severity (error, warning, note), check (version, access, alarms, nodes, topology, \
                ladder, bindings, policies, delivery-limit, consumer-timeout, shutdown, clock, queues), subject, problem, \
                consequence, remedy.

                Exit codes: 0 nothing worse than notes, 1 warnings, 2 errors, 3 the broker could not be looked at, 64 the command \
                line can't be understood.
                """
        )
    }

    @OptionGroup var target: TargetOptions<App>

    @Option(
        help: ArgumentHelp(
            "RabbitMQ's management API, such as http://user:password@host:15672.",
            discussion:
                "Default: $WARREN_BROKER_MANAGEMENT_URL, else it isn't asked. Without a user, the broker's is taken.",
            valueName: "url"
        )
    )
    var management: String?

    @Option(
        help: ArgumentHelp(
            "The consumer_timeout in the broker's rabbitmq.conf, which no broker tells; 0 for none.",
            discussion: "Default: that of the broker's version.",
            valueName: "duration"
        )
    )
    var consumerTimeout: DurationArgument?

    @Option(help: ArgumentHelp("The --shutdown-timeout of the workers.", valueName: "duration"))
    var shutdownTimeout = DurationArgument(.seconds(30))

    @OptionGroup var output: OutputOptions
    @OptionGroup public var brokerOptions: BrokerOptions

    public init() {}

    /// Looks, prints, and ends with an exit code by severity.
    public func run() async throws {
        let topology = try target.topology()
        let queues = try target.queues(topology).map(\.name)
        let reader = try managementReader()
        var facts: DoctorFacts
        do {
            facts = try await brokerOptions.withBroker(as: "doctor", of: App.self) { broker in
                try await FactReader(transport: broker, topology: topology, queues: queues).read()
            }
        } catch {
            guard let line = ErrorLine.text(for: error) else { throw error }
            Output.note("Error: \(line)")
            throw Diagnosis.inspectionFailed
        }
        facts.management = await reader?.read()
        facts.jobs = App.jobs.map { JobLimits(of: $0) }.filter { queues.contains($0.queue) }
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

    /// `nil` if nobody said where the management API is.
    private func managementReader() throws -> ManagementReader? {
        let environment = ConfigReader(provider: EnvironmentVariablesProvider())
        guard
            let text = management
                ?? environment.string(forKey: "warren.broker.management.url", isSecret: true)
        else { return nil }
        let broker = try BrokerURL.list(BrokerLocation(option: brokerOptions.url, environment: environment).text)[0]
        return ManagementReader(
            url: try ManagementURL(text, credentials: broker.credentials),
            virtualHost: broker.virtualHost
        )
    }
}
