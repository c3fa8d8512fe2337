import ArgumentParser
import FlyingFox
import FlyingSocks
import Foundation
import Logging
import ServiceLifecycle
import Warren

/// How the `worker` command tells probes of its health.
struct HealthOptions: ParsableArguments {
    @Option(
        name: .customLong("health-file"),
        help: ArgumentHelp(
            "A file in which the worker's health stands as JSON, for 'health'.",
            discussion: "With --processes, worker i of health.json has health-i.json.",
            valueName: "path"
        )
    )
    var file: String?

    @Option(
        name: .customLong("health-interval"),
        help: ArgumentHelp("How often the worker's health is looked at and the file is written.", valueName: "duration")
    )
    var interval = DurationArgument(.seconds(5))

    @Option(
        name: .customLong("health-port"),
        help: ArgumentHelp(
            "A port of 127.0.0.1 on which /livez and /readyz answer 200 or 503.",
            discussion: "With --processes, worker i has this port plus i.",
            valueName: "port"
        )
    )
    var port: UInt16?

    func validate() throws {
        guard interval.duration > .zero else { throw ValidationError("--health-interval must be above zero.") }
        guard port != 0 else { throw ValidationError("--health-port must be 1 to 65535.") }
    }
}

/// Keeps a worker's health in a file, for as long as the worker's process runs in order.
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

    /// Writes until the service is shut down, then removes the file.
    ///
    /// - Throws: `WarrenError` if the file can't be written at the start; later that is a warning, and the file grows old.
    func run() async throws {
        do {
            try write()
        } catch {
            throw WarrenError(
                .invalidConfiguration,
                "The health file '\(url.path)' can't be written. Choose another --health-file.",
                underlying: error
            )
        }
        await cancelWhenGracefulShutdown {
            while (try? await Task.sleep(for: interval)) != nil {
                do {
                    try write()
                } catch {
                    logger.warning("The health file can't be written", metadata: ["error": "\(error)"])
                }
            }
        }
        try? FileManager.default.removeItem(at: url)
    }

    /// Replaces the file as a whole, so that no reader finds half of it.
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
    /// - Throws: `WarrenError` if the port can't be had.
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
                "The health port 127.0.0.1:\(port) can't be listened on (\(error.localizedDescription)). Choose another --health-port."
            )
        } catch is CancellationError {
            return
        }
    }

    private func answer(_ question: (WorkerHealth) -> Bool) throws -> HTTPResponse {
        let health = worker.health()
        return HTTPResponse(
            statusCode: question(health) ? .ok : .serviceUnavailable,
            headers: [.contentType: "application/json"],
            body: Data((try Output.jsonText(health) + "\n").utf8)
        )
    }
}

/// Looks at a worker's health from time to time, so that an answer to a probe knows when all was last in order.
struct HealthSampler: Service {
    let interval: Duration
    let worker: Worker

    func run() async {
        await cancelWhenGracefulShutdown {
            repeat { _ = worker.health() } while (try? await Task.sleep(for: interval)) != nil
        }
    }
}
