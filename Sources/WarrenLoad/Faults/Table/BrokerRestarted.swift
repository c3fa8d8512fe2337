/// The broker stopped in order and started again.
struct BrokerRestarted: Fault {
    let name = "broker-restarted"
    let summary = "broker stopped and started"

    func run(_ context: FaultContext) async throws -> FaultReport {
        try await BrokerOutage(name: name) { try await $0.stop() }.run(context)
    }
}

/// The broker's process killed, and started again.
struct BrokerKilled: Fault {
    let name = "broker-killed"
    let summary = "broker's node killed by `kill -9`, and started"

    func run(_ context: FaultContext) async throws -> FaultReport {
        try await BrokerOutage(name: name) { try await $0.kill(node: 1) }.run(context)
    }
}

/// The broker stopped for a while, and started again.
struct BrokerAway: Fault {
    /// How soon work has to go on when the broker is back.
    static let limit = 2.0

    let name = "broker-away"
    let summary = "broker stopped for a minute"

    func run(_ context: FaultContext) async throws -> FaultReport {
        try await BrokerOutage(name: name, pause: context.size(short: .seconds(10), long: .seconds(60))) {
            try await $0.stop()
        }
        .run(context) { experiment, ledger in
            let recovery = experiment.marks.last.flatMap { ledger.recovery(after: $0) } ?? .infinity
            experiment.figure("limit_s", Self.limit)
            experiment.owe(
                recovery <= Self.limit,
                "work went on \(FaultReport.number(recovery)) s after the broker's return"
            )
        }
    }
}

/// What the faults have in common that take the whole broker away.
struct BrokerOutage {
    let name: String
    var pause: Duration = .zero
    let end: @Sendable (FaultBroker) async throws -> Void

    /// The recovery counts from the moment at which the broker takes connections, and ends with a job enqueued after that.
    func run(
        _ context: FaultContext,
        judge: (Experiment, Ledger) -> Void = { _, _ in }
    ) async throws -> FaultReport {
        let broker = try await context.brokers.shared()
        let setup = Experiment.Setup(broker: try await broker.url(), load: .standard(context))
        return try await Experiment.run(name, context, setup) { experiment in
            try await experiment.waitForJobs(context.size(short: 200, long: 5_000))
            let went = ContinuousClock.now
            try await end(broker)
            try await Task.sleep(for: pause)
            async let isBack = broker.timeOfReturn()
            try await broker.start()
            experiment.mark(at: try await isBack, countsNewJobsOnly: true)
            experiment.figure("away_s", (ContinuousClock.now - went) / .seconds(1))
            try await experiment.waitForJobs(context.size(short: 100, long: 1_000))
        } judge: {
            judge($0, $1)
        }
    }
}
