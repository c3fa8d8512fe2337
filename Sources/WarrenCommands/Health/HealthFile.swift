import Foundation
import Logging
import ServiceLifecycle
import Warren

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
