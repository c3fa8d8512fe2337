import ServiceLifecycle
import UnixSignals

extension Worker {
    /// Works until the process gets SIGTERM or SIGINT, then shuts down in order.
    ///
    /// For a program that is nothing but a worker. A program with more services puts the worker into its own `ServiceGroup`.
    ///
    /// - Throws: What ``run()`` throws.
    public func runUntilSignalled() async throws {
        let group = ServiceGroup(
            configuration: ServiceGroupConfiguration(
                services: [self],
                gracefulShutdownSignals: [.sigterm, .sigint],
                logger: logger
            )
        )
        try await group.run()
    }
}
