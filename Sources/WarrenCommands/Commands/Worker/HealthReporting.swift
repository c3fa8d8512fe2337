import AMQP
import ArgumentParser
import FlyingFox
import FlyingSocks
import Foundation
import Logging
import ServiceLifecycle
import Warren

/// The options by which the `worker` command reports its health to probes.
struct HealthOptions: ParsableArguments {
    @Option(
        name: .customLong("health-file"),
        help: ArgumentHelp(
            "A file to keep the worker's health in, as JSON, for the command 'health'.",
            discussion: "With --processes and health.json, worker number i writes health-i.json.",
            valueName: "path"
        )
    )
    var file: String?

    @Option(
        name: .customLong("health-interval"),
        help: ArgumentHelp(
            "The interval at which to check the worker's health and write the file.",
            valueName: "duration"
        )
    )
    var interval = DurationArgument(.seconds(5))

    @Option(
        name: .customLong("health-port"),
        help: ArgumentHelp(
            "A port on 127.0.0.1 on which /livez and /readyz answer with 200 or 503.",
            discussion: "With --processes, worker number i listens on this port plus i.",
            valueName: "port"
        )
    )
    var port: UInt16?

    func validate() throws {
        guard interval.duration > .zero else { throw ValidationError("--health-interval must be greater than 0.") }
        guard port != 0 else { throw ValidationError("--health-port must be 1 to 65535.") }
    }
}

/// Keeps a worker's health in a file until the worker shuts down.
struct HealthFile: Service {
    let url: URL
    let interval: Duration
    let worker: Worker
    let logger: Logger

    init(path: String, interval: Duration, worker: Worker, logger: Logger) {
        url = URL(filePath: path)
        self.interval = interval
        self.worker = worker
        self.logger = logger
    }

    /// Writes the file at each interval until the service is shut down, then removes it.
    ///
    /// - Throws: `WarrenError` if the first write fails. A later failure is logged as a warning, and the file grows
    ///   old.
    func run() async throws {
        do {
            try write()
        } catch {
            throw WarrenError(
                .invalidConfiguration,
                "Cannot write the health file '\(url.path)'. Choose another --health-file.",
                underlying: error
            )
        }
        await cancelWhenGracefulShutdown {
            while (try? await Task.sleep(for: interval)) != nil {
                do {
                    try write()
                } catch {
                    logger.warning(
                        "Cannot write the health file",
                        metadata: [LogKey.path: "\(url.path)", LogKey.error: "\(error)"]
                    )
                }
            }
        }
        try? FileManager.default.removeItem(at: url)
    }

    /// Replaces the file atomically, so that a reader never sees half of it.
    private func write() throws {
        try Data((Output.jsonText(worker.health()) + "\n").utf8).write(to: url, options: .atomic)
    }
}

/// Answers `/livez` and `/readyz` on the loopback interface.
struct HealthServer: Service {
    let port: UInt16
    let worker: Worker

    /// Serves until the service is shut down.
    ///
    /// - Throws: `WarrenError` if the port isn't available.
    func run() async throws {
        do {
            let server = HTTPServer(address: try .inet(ip4: "127.0.0.1", port: port), timeout: 5, logger: .disabled)
            await server.appendRoute("GET /livez") { _ in try answer(\.isLive) }
            await server.appendRoute("GET /readyz") { _ in try answer(\.isReady) }
            try await cancelWhenGracefulShutdown { try await server.run() }
        } catch let error as SocketError {
            if Task.isCancelled || Task.isShuttingDownGracefully { return }
            throw WarrenError(
                .invalidConfiguration,
                "Cannot listen on the health port 127.0.0.1:\(port) (\(error.localizedDescription)). "
                    + "Choose another --health-port."
            )
        } catch is CancellationError {
            return
        }
    }

    private func answer(_ condition: (WorkerHealth) -> Bool) throws -> HTTPResponse {
        let health = worker.health()
        return HTTPResponse(
            statusCode: condition(health) ? .ok : .serviceUnavailable,
            headers: [.contentType: "application/json"],
            body: Data((try Output.jsonText(health) + "\n").utf8)
        )
    }
}

/// Checks a worker's health at each interval.
///
/// The worker notes when it was last healthy only when it is asked, and an answer to a probe depends on that.
struct HealthSampler: Service {
    let interval: Duration
    let worker: Worker

    func run() async {
        await cancelWhenGracefulShutdown {
            repeat { _ = worker.health() } while (try? await Task.sleep(for: interval)) != nil
        }
    }
}
