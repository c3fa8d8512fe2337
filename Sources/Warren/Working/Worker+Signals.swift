extension Worker {
    /// Works until the process gets SIGTERM, SIGINT or SIGHUP, then shuts down in order; at a second signal, at once.
    ///
    /// At once means that running jobs are cancelled and handed back, and that what they do half a second later is not waited for.
    /// SIGQUIT means that from the start.
    ///
    /// For a program that is nothing but a worker. A program with more services puts the worker into its own `ServiceGroup`.
    ///
    /// - Throws: What ``run()`` throws.
    public func runService() async throws {
        try await SignalledGroup([self], logger: logger).run()
    }
}
