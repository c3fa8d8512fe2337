import ServiceLifecycle
import Warren

/// Looks at a worker's health from time to time, so that an answer to a probe knows when all was last in order.
struct HealthWatch: Service {
    let interval: Duration
    let worker: Worker

    func run() async {
        await cancelWhenGracefulShutdown {
            repeat { _ = worker.health() } while (try? await Task.sleep(for: interval)) != nil
        }
    }
}
