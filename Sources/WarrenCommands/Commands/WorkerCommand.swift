public import ArgumentParser
public import Logging
import RabbitMQ
import ServiceLifecycle
import UnixSignals
import Warren

/// `worker`: takes jobs from queues and runs them until SIGTERM or SIGINT.
public struct WorkerCommand<App: WarrenApplication>: BrokerCommand {
    /// Name and help.
    public static var configuration: CommandConfiguration {
        CommandConfiguration(
            commandName: "worker",
            abstract: "Take jobs from queues and run them.",
            discussion: """
                It works until it gets SIGTERM or SIGINT: then it takes no more jobs, lets the running ones finish until the \
                shutdown deadline, and gives back what isn't finished.

                With --json the last line on standard output is an object that counts the deliveries by what became of them: \
                worker, succeeded, retried, dead, parked, unparked, expired, cancelled, handedBack, postponed, redelivered, \
                consumersLost.
                """
        )
    }

    /// A worker tells what it does.
    public static var standardLogLevel: Logger.Level { .info }

    @OptionGroup var target: TargetOptions<App>

    @Option(help: "How many jobs of a queue run at once; --queues a=4,b=8 sets it for each.")
    var concurrency = 16

    @Option(
        help: ArgumentHelp(
            "How many deliveries of a lane to hold, running ones included.",
            discussion: "Default: twice the concurrency."
        )
    )
    var prefetch: Int?

    @Option(
        name: .customLong("lanes"),
        help: ArgumentHelp(
            "In which order to take jobs from a queue's lanes: 'strict', or 'weighted:high=6,normal=3,low=1'.",
            discussion: "Default: strict.",
            valueName: "policy"
        ),
        transform: LanePolicy.init(argument:)
    )
    var lanePolicy: LanePolicy?

    @Option(help: ArgumentHelp("How long running jobs may go on after SIGTERM.", valueName: "duration"))
    var shutdownDeadline = DurationArgument(.seconds(30))

    @Option(
        help: ArgumentHelp("The worker's name in logs and failure records.", discussion: "Default: host and process.")
    )
    var name: String?

    @Flag(name: .customLong("no-declare"), help: "Declare nothing: the queues exist already.")
    var declaresNothing = false

    @OptionGroup(title: "Options of this application")
    var appOptions: App.WorkerOptions

    @OptionGroup var output: OutputOptions
    /// Where the broker is.
    @OptionGroup public var brokerOptions: BrokerOptions

    /// A command whose options are yet to be parsed.
    public init() {}

    /// Works until the process is told to stop.
    public func run() async throws {
        let topology = try target.topology()
        let queues = try target.queues(topology).map { item in
            WorkerQueue(
                item.name,
                concurrency: item.concurrency,
                prefetch: prefetch,
                lanes: lanePolicy ?? .strict
            )
        }
        let settings = WorkerSettings(
            name: name,
            declaresTopology: !declaresNothing,
            shutdownDeadline: shutdownDeadline.duration
        )
        try await brokerOptions.withBroker(as: "worker \(settings.name)") { broker in
            try await work(on: queues, of: topology, settings, broker)
        }
    }

    private func work(
        on queues: [WorkerQueue],
        of topology: Topology,
        _ settings: WorkerSettings,
        _ broker: RabbitMQClient
    ) async throws {
        let logger = Logger(label: "warren.worker")
        let setup = WorkerSetup(
            options: appOptions,
            broker: broker,
            jobs: JobClient(broker, topology: topology, declares: settings.declaresTopology),
            worker: settings.name,
            logger: logger
        )
        let handlers = try await App.handlers(setup)
        let worker = Worker(
            broker,
            queues: queues,
            concurrency: concurrency,
            topology: topology,
            settings: settings,
            middleware: setup.middleware,
            logger: logger
        ) {
            handlers
        }
        logger.info(
            "The worker starts",
            metadata: [
                "worker": "\(settings.name)", "queues": "\(queues.map(\.name.rawValue).joined(separator: ","))",
            ]
        )
        // Services are shut down in the reverse of this order: the worker first, then what its handlers use.
        let group = ServiceGroup(
            configuration: ServiceGroupConfiguration(
                services: setup.services + [worker],
                gracefulShutdownSignals: [.sigterm, .sigint],
                logger: logger
            )
        )
        do {
            try await group.run()
        } catch {
            try report(worker, settings, logger)
            throw error
        }
        try report(worker, settings, logger)
    }

    private func report(_ worker: Worker, _ settings: WorkerSettings, _ logger: Logger) throws {
        let report = WorkerReport(worker: settings.name, counts: worker.counts)
        logger.info("The worker has stopped", metadata: report.metadata)
        if output.isJSON { try Output.json(report) }
    }
}
