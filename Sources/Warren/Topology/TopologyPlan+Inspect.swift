public import AMQP

extension TopologyPlan {
    /// Compares the exchanges and queues of the plan with what the broker has, and changes nothing.
    ///
    /// Each is looked for by name first, and declared only if it exists: then the broker either agrees or refuses with the difference. One
    /// that is deleted by someone else between these two is made anew, as planned or as it was; that is the only way in which this can
    /// change a broker. Bindings can't be asked for in AMQP, and are left out.
    ///
    /// - Throws: What goes wrong at the broker, such as a lost connection. A missing permission to declare is no error: see
    ///   ``TopologyInspection/notCompared``.
    public func inspect(on transport: any Transport) async throws(AMQPError) -> TopologyInspection {
        var inspection = TopologyInspection()
        for step in steps {
            if case .binding = step { continue }
            inspection.planned += 1
            guard try await step.exists(on: transport) else {
                inspection.missing.append(step.entry)
                continue
            }
            do {
                inspection.differences += try await step.apply(to: transport)
            } catch {
                // Of a queue that another connection has to itself nothing more can be learnt either.
                guard error.code == .accessRefused || error.code == .resourceLocked else { throw error }
                inspection.notCompared.append(step.entry)
            }
        }
        return inspection
    }
}

extension TopologyPlan.Step {
    fileprivate func exists(on transport: any Transport) async throws(AMQPError) -> Bool {
        switch self {
        case .exchange(let exchange): return try await transport.exchangeExists(exchange.name)
        case .queue(let queue):
            do {
                _ = try await transport.status(ofQueue: queue.name)
                return true
            } catch {
                if error.code == .resourceLocked { return true }
                guard error.code == .notFound else { throw error }
                return false
            }
        case .binding: return true
        }
    }
}
