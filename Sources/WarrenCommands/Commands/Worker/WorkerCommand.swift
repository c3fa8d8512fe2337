import AMQP
public import ArgumentParser
public import Logging
import ServiceLifecycle
import Warren

/// `worker`: consumes jobs from queues and runs them until SIGTERM or SIGINT.
public struct WorkerCommand<App: WarrenApplication>: BrokerCommand {
    /// The command's name and help.
    public static var configuration: CommandConfiguration {
        CommandConfiguration(
            commandName: "worker",
            abstract: "Consume jobs from queues and run them.",
            discussion: """
                The worker runs until it gets SIGTERM, SIGINT or SIGHUP. Then it takes no more jobs, lets running ones finish for \
                at most the shutdown timeout, and requeues the rest. A second signal, or SIGQUIT, makes it cancel running jobs \
                and requeue them at once.

                With --processes, the command supervises that many worker processes: it replaces those that end, and forwards \
                signals.

                Exit code 75: a job ran past its hard time limit, so the process ended. Start another.

                With --json, the last line on standard output is an object that counts the deliveries by outcome: \
                worker, succeeded, retried, dead, parked, unparked, expired, requeued, postponed, redelivered, \
                lost, lateSettlements, \
                breakerOpened, consumersLost.
                """
        )
    }

    /// A worker logs its start, its end and its problems.
    public static var standardLogLevel: Logger.Level { .info }

    @OptionGroup var target: TargetOptions<App>

    @Option(help: "The number of jobs of a queue that run at once; --queues a=4,b=8 sets it for each queue.")
    var concurrency = 16

    @Option(
        help: ArgumentHelp(
            "The number of deliveries of a lane to hold, running ones included.",
            discussion: "Default: twice the concurrency."
        )
    )
    var prefetch: Int?

    @Option(
        name: .customLong("lanes"),
        help: ArgumentHelp(
            "The order in which to take jobs from a queue's lanes: 'strict', or 'weighted:high=6,normal=3,low=1'.",
            discussion: "Default: strict.",
            valueName: "policy"
        ),
        transform: LanePolicy.init(argument:)
    )
    var lanePolicy: LanePolicy?

    @Option(
        help: ArgumentHelp(
            "The number of failures in a row after which to pause a queue and try a single job from time to time.",
            discussion: "Default: never.",
            valueName: "failures"
        )
    )
    var breaker: Int?

    @Option(
        help: ArgumentHelp(
            "The time from SIGTERM to the end of the process; running jobs may continue for 5 seconds less.",
            valueName: "duration"
        )
    )
    var shutdownTimeout = DurationArgument(.seconds(25))

    @Option(
        help: ArgumentHelp(
            "The time for which the broker waits for an acknowledgement; jobs with longer time limits are refused.",
            valueName: "duration"
        )
    )
    var consumerTimeout = DurationArgument(.seconds(1_800))

    @Option(
        help: ArgumentHelp(
            "The number of processes to run, each with the given concurrency and its own connections.",
            valueName: "count"
        )
    )
    var processes: Int?

    @Flag(help: .hidden)
    var supervised = false

    @OptionGroup(title: "Replacing processes")
    var recycling: RecyclingOptions

    @OptionGroup(title: "Health")
    var health: HealthOptions

    @Option(
        help: ArgumentHelp("The worker's name in logs and failure records.", discussion: "Default: host and process.")
    )
    var name: String?

    @Flag(
        name: .customLong("declare-topology"),
        inversion: .prefixedNo,
        help: "Declare the queues, exchanges and bindings before consuming."
    )
    var declaresTopology = true

    @OptionGroup(title: "Options of this application")
    var appOptions: App.WorkerOptions

    @OptionGroup var output: OutputOptions
    /// The broker and the log level.
    @OptionGroup public var brokerOptions: BrokerOptions

    /// The part of the shutdown timeout for closing the connections.
    private static var closingTime: Duration { .seconds(2) }

    /// Creates the command, for its parser.
    public init() {}

    /// Validates the options.
    public func validate() throws {
        if let processes, !(1...256).contains(processes) { throw ValidationError("--processes must be from 1 to 256.") }
        if let port = health.port, let processes, Int(port) + processes > 65_535 {
            throw ValidationError("--health-port plus --processes must be at most 65535.")
        }
    }

    /// Runs the worker, or supervises several, until the process is asked to stop.
    public func run() async throws {
        if let processes { return try await supervise(processes) }
        let topology = try target.topology()
        let queues = try target.queues(topology).map { item in
            WorkerQueue(
                item.name,
                concurrency: item.concurrency,
                prefetch: prefetch,
                lanes: lanePolicy ?? .strict,
                circuitBreaker: breaker.map { .after(failures: $0) }
            )
        }
        let settings = WorkerSettings(
            name: name,
            declaresTopology: declaresTopology,
            shutdownTimeout: max(.zero, shutdownTimeout.duration - Self.closingTime),
            consumerTimeout: consumerTimeout.duration
        )
        do {
            let isRecycled = try await brokerOptions.withBroker(
                as: "worker \(settings.name)",
                of: App.self,
                closingWithin: Self.closingTime
            ) { broker in
                try await work(on: queues, of: topology, settings, broker)
            }
            if isRecycled, supervised { throw ExitCode(WorkerExit.recycled) }
        } catch let error as WarrenError where error.code == .hardTimeLimit {
            Output.note("Error: \(error.message)")
            throw ExitCode(WorkerExit.hardTimeLimit)
        }
    }

    private func supervise(_ processes: Int) async throws {
        // Errors that need no broker are reported once, here, rather than by each child at each restart.
        _ = try target.queues(target.topology())
        let settings = WorkerSettings(name: name)
        let supervisor = Supervisor(
            processes: processes,
            arguments: ChildArguments(
                Array(CommandLine.arguments.dropFirst()),
                name: settings.name,
                healthPort: health.port,
                healthFile: health.file
            ),
            stopTimeout: shutdownTimeout.duration + .seconds(2),
            logger: Logger(label: "warren.supervisor")
        )
        let code = await supervisor.run()
        if code != 0 { throw ExitCode(code) }
    }

    /// Runs the worker, and returns true if the process ended because it reached a recycling limit.
    private func work(
        on queues: [WorkerQueue],
        of topology: Topology,
        _ settings: WorkerSettings,
        _ broker: any Transport
    ) async throws -> Bool {
        let logger = Logger(label: "warren.worker")
        let setup = WorkerSetup(
            options: appOptions,
            broker: broker,
            jobs: JobClient(broker, topology: topology, declaresTopology: settings.declaresTopology),
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
            "Worker starting",
            metadata: [
                "worker": "\(settings.name)", "queues": "\(queues.map(\.name.rawValue).joined(separator: ","))",
            ]
        )
        // Services shut down in reverse order: the worker first, then the services that its handlers use.
        let services = healthServices(worker, logger) + setup.services + [worker]
        var generator = SystemRandomNumberGenerator()
        let request = StopRequest(
            isSupervised: supervised,
            policy: recycling.policy(using: &generator),
            logger: logger
        )
        do {
            try await SignalledGroup(services, logger: logger).run { await request.wait(for: worker) }
        } catch {
            try report(worker, settings, logger)
            throw error
        }
        try report(worker, settings, logger)
        return request.isRecycled
    }

    private func healthServices(_ worker: Worker, _ logger: Logger) -> [any Service] {
        var services: [any Service] = []
        if let path = health.file {
            services.append(
                HealthFile(path: path, interval: health.interval.duration, worker: worker, logger: logger)
            )
        }
        if let port = health.port {
            services.append(HealthServer(port: port, worker: worker))
            services.append(HealthSampler(interval: health.interval.duration, worker: worker))
        }
        return services
    }

    private func report(_ worker: Worker, _ settings: WorkerSettings, _ logger: Logger) throws {
        let report = WorkerReport(worker: settings.name, counts: worker.counts)
        logger.info("Worker stopped", metadata: report.metadata)
        if output.isJSON { try Output.json(report) }
    }
}

/// A worker's name and counts.
struct WorkerReport: Encodable {
    var worker: String
    var counts: WorkerCounts

    private enum CodingKeys: CodingKey {
        case worker
    }

    func encode(to encoder: any Encoder) throws {
        try counts.encode(to: encoder)
        var container = encoder.container(keyedBy: CodingKeys.self)
        try container.encode(worker, forKey: .worker)
    }

    /// The most useful counts, as metadata of a log line.
    var metadata: Logger.Metadata {
        [
            "worker": "\(worker)", "succeeded": "\(counts.succeeded)", "retried": "\(counts.retried)",
            "dead": "\(counts.dead)", "parked": "\(counts.parked)", "requeued": "\(counts.requeued)",
            "redelivered": "\(counts.redelivered)",
        ]
    }
}
