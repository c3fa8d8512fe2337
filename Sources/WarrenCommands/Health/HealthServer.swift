import FlyingFox
import FlyingSocks
import Foundation
import ServiceLifecycle
import Warren

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
