import AMQP
package import Logging
package import ServiceLifecycle
import UnixSignals

#if canImport(Darwin)
import Darwin
#elseif canImport(Glibc)
import Glibc
#elseif canImport(Musl)
import Musl
#endif

/// Runs services until a signal or the caller asks the process to stop.
///
/// The first SIGTERM, SIGINT or SIGHUP shuts the services down gracefully, the last one first. A second signal of any
/// kind cancels them all at once; so does SIGQUIT at any time. (A `ServiceGroup` alone reacts to a second signal only
/// if it is of another kind.)
package struct SignalledGroup: Sendable {
    private enum Event: Sendable {
        case ended
        case stopNow
        case silence
    }

    private let services: [any Service]
    private let logger: Logger

    package init(_ services: [any Service], logger: Logger) {
        self.services = services
        self.logger = logger
    }

    /// Runs the services.
    ///
    /// - Parameter request: Returns true when the services should shut down gracefully, false to leave that to signals.
    /// - Throws: The error that a service throws, except for its cancellation.
    package func run(until request: @escaping @Sendable () async -> Bool = { false }) async throws {
        // A log whose reader has ended doesn't end the program in the middle of a job.
        signal(SIGPIPE, SIG_IGN)
        // Trapped before any service starts, so that no signal meets the default action.
        let signals = await UnixSignalsSequence(trapping: .sigterm, .sigint, .sighup, .sigquit)
        let configurations = services.map {
            ServiceGroupConfiguration.ServiceConfiguration(service: $0)
        }
        let group = ServiceGroup(configuration: ServiceGroupConfiguration(services: configurations, logger: logger))
        try await withThrowingTaskGroup(of: Event.self) { tasks in
            tasks.addTask {
                try await group.run()
                return .ended
            }
            tasks.addTask {
                if await request() { await group.triggerGracefulShutdown() }
                return .silence
            }
            tasks.addTask { await stop(group, on: signals) }
            var isCancelled = false
            do {
                while let event = try await tasks.next() {
                    switch event {
                    case .ended:
                        tasks.cancelAll()
                        return
                    case .stopNow:
                        isCancelled = true
                        tasks.cancelAll()
                    case .silence: continue
                    }
                }
            } catch is CancellationError where isCancelled {
                return
            }
        }
    }

    /// Shuts the group down at the first signal and returns at the second.
    private func stop(_ group: ServiceGroup, on signals: UnixSignalsSequence) async -> Event {
        var isFirst = true
        for await signal in signals {
            let metadata: Logger.Metadata = [LogKey.reason: "\(signal)"]
            guard isFirst, signal != .sigquit else {
                logger.info("Stopping at once", metadata: metadata)
                return .stopNow
            }
            isFirst = false
            logger.info("Shutting down gracefully", metadata: metadata)
            await group.triggerGracefulShutdown()
        }
        return .silence
    }
}
