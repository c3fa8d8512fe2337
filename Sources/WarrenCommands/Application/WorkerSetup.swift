public import AMQP
public import Logging
public import ServiceLifecycle
import Synchronization
public import Warren

/// What a worker's handlers are made from, and what they may add to its process.
public final class WorkerSetup<Options: Sendable>: Sendable {
    /// The application's own options of the `worker` command.
    public let options: Options
    /// The broker, for handlers that use it themselves.
    ///
    /// The command closes it.
    public let broker: any Transport
    /// A client, for handlers that enqueue more jobs.
    public let jobs: JobClient
    /// The worker's name, as it stands in logs and failure records.
    public let worker: String
    /// The worker's logger.
    public let logger: Logger

    private struct Additions {
        var services: [any Service] = []
        var middleware: [any JobMiddleware] = []
    }

    private let additions = Mutex(Additions())

    init(options: Options, broker: any Transport, jobs: JobClient, worker: String, logger: Logger) {
        self.options = options
        self.broker = broker
        self.jobs = jobs
        self.worker = worker
        self.logger = logger
    }

    /// Runs a service beside the worker, such as a database pool that handlers use: started before it, shut down after it.
    public func run(_ service: any Service) {
        additions.withLock { $0.services.append(service) }
    }

    /// Wraps each execution of a job; what was added first is the outermost.
    public func use(_ middleware: any JobMiddleware) {
        additions.withLock { $0.middleware.append(middleware) }
    }

    var services: [any Service] { additions.withLock { $0.services } }
    var middleware: [any JobMiddleware] { additions.withLock { $0.middleware } }
}
