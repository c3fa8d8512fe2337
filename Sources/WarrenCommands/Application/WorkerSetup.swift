public import AMQP
public import Logging
public import ServiceLifecycle
import Synchronization
public import Warren

/// The values from which an application creates a worker's handlers, and the place to add services and middleware to
/// the worker.
public final class WorkerSetup<Options: Sendable>: Sendable {
    /// The application's own options of the `worker` command.
    public let options: Options
    /// The broker, for handlers that use it directly.
    ///
    /// The command opened it and closes it.
    public let broker: any Transport
    /// A client for handlers that enqueue further jobs.
    public let jobs: JobClient
    /// The worker's name, as it appears in logs and failure records.
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

    /// Runs a service beside the worker, such as a database pool that handlers use.
    ///
    /// It starts before the worker and shuts down after it.
    ///
    /// - Parameter service: The service to run.
    public func run(_ service: any Service) {
        additions.withLock { $0.services.append(service) }
    }

    /// Wraps each execution of a job in a middleware.
    ///
    /// The first one added is the outermost.
    ///
    /// - Parameter middleware: The middleware to add.
    public func use(_ middleware: any JobMiddleware) {
        additions.withLock { $0.middleware.append(middleware) }
    }

    var services: [any Service] { additions.withLock { $0.services } }
    var middleware: [any JobMiddleware] { additions.withLock { $0.middleware } }
}
