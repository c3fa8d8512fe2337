public import AMQP

extension TopologyPlan {
    /// Declares everything in the plan, and reports where the broker already has something else.
    ///
    /// A difference is not an error: what exists stays as it is, and the rest is declared.
    ///
    /// - Throws: What else can go wrong at the broker, such as `accessRefused` or a lost connection.
    public func apply(to transport: any Transport) async throws(AMQPError) -> TopologyReport {
        var report = TopologyReport()
        for step in steps {
            let differences = try await step.apply(to: transport)
            if differences.isEmpty { report.matching += 1 }
            report.differences += differences
        }
        return report
    }
}

extension TopologyPlan.Step {
    /// More differences than a declaration has arguments: where looking for them ends in any case.
    private static let mostDifferences = 40

    /// Declares the step.
    ///
    /// The broker names one difference at a time, so a refused declaration is made again with the value that the broker
    /// has, until the two agree: then all differences are known.
    func apply(to transport: any Transport) async throws(AMQPError) -> [TopologyDifference] {
        var step = self
        var differences: [TopologyDifference] = []
        while differences.count < Self.mostDifferences {
            do {
                try await step.declare(on: transport)
                return differences
            } catch {
                guard error.code == .declarationMismatch else { throw error }
                guard let mismatch = error.reply.flatMap(DeclarationMismatch.init(reply:)) else {
                    return differences + [unknownDifference]
                }
                differences.append(difference(mismatch))
                guard let adopted = step.adopting(mismatch) else { return differences }
                step = adopted
            }
        }
        return differences
    }

    private func declare(on transport: any Transport) async throws(AMQPError) {
        switch self {
        case .exchange(let exchange): try await transport.declare(exchange)
        case .queue(let queue): try await transport.declare(queue)
        case .binding(let binding): try await transport.bind(binding)
        }
    }

    private func adopting(_ mismatch: DeclarationMismatch) -> Self? {
        switch self {
        case .exchange(let exchange): exchange.adopting(mismatch).map(Self.exchange)
        case .queue(let queue): queue.adopting(mismatch).map(Self.queue)
        case .binding: nil
        }
    }

    private func difference(_ mismatch: DeclarationMismatch) -> TopologyDifference {
        TopologyDifference(
            kind: entry.kind,
            name: entry.name,
            argument: mismatch.argument,
            planned: mismatch.received?.text,
            existing: mismatch.current?.text,
            remedy: mismatch.advice
        )
    }

    private var unknownDifference: TopologyDifference {
        TopologyDifference(
            kind: entry.kind,
            name: entry.name,
            argument: nil,
            planned: nil,
            existing: nil,
            remedy: "Compare what 'warren topology plan' prints with 'rabbitmqctl list_\(entry.kind)s name arguments'."
        )
    }
}
