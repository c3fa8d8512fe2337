/// What the faults of the network have in common: workers and callers reach the broker through a ``FaultProxy``.
struct NetworkFault {
    /// Seconds; short, so that a silence is noticed soon.
    static let heartbeat = 2

    let name: String
    var mode = ProxyMode.pass
    let script: @Sendable (Experiment, FaultProxy) async throws -> Void

    func run(_ context: FaultContext) async throws -> FaultReport {
        let broker = try await context.brokers.shared()
        let url = try await broker.url()
        return try await FaultProxy.run(toPort: try await broker.port()) { proxy in
            proxy.set(mode)
            let setup = Experiment.Setup(
                broker: url,
                url: "amqp://guest:guest@127.0.0.1:\(proxy.port)/%2f"
                    + "?heartbeat=\(Self.heartbeat)&connection_timeout=\(Self.heartbeat)000",
                load: .standard(context)
            )
            return try await Experiment.run(name, context, setup) { experiment in
                try await experiment.waitForJobs(context.size(short: 100, long: 3_000))
                try await script(experiment, proxy)
                experiment.figure("heartbeat_s", Double(Self.heartbeat))
            }
        }
    }
}

/// A slow network.
struct NetworkLatency: Fault {
    let name = "network-latency"
    let summary = "network: 50 ms more each way"

    func run(_ context: FaultContext) async throws -> FaultReport {
        try await NetworkFault(name: name, mode: .latency(.milliseconds(50))) { experiment, proxy in
            try await experiment.waitForJobs(context.size(short: 200, long: 10_000))
            proxy.set(.pass)
            experiment.mark()
        }
        .run(context)
    }
}

/// A network that swallows everything and says nothing.
struct NetworkBlackHole: Fault {
    let name = "network-black-hole"
    let summary = "network: cut without FIN (black hole)"

    func run(_ context: FaultContext) async throws -> FaultReport {
        try await NetworkFault(name: name) { experiment, proxy in
            proxy.set(.blackHole)
            try await Task.sleep(for: context.size(short: .seconds(6), long: .seconds(20)))
            proxy.set(.pass)
            experiment.mark(countsNewJobsOnly: true)
            try await experiment.waitForJobs(context.size(short: 100, long: 3_000))
        }
        .run(context)
    }
}

/// Connections reset in the middle of a frame.
struct NetworkReset: Fault {
    let name = "network-reset"
    let summary = "network: connections reset in mid-frame, either way, several times"

    func run(_ context: FaultContext) async throws -> FaultReport {
        try await NetworkFault(name: name) { experiment, proxy in
            for round in 0..<context.size(short: 4, long: 20) {
                proxy.resetInMidFrame(round % 2 == 0 ? .toClient : .toBroker)
                experiment.mark()
                try await experiment.waitForJobs(context.size(short: 50, long: 500))
            }
        }
        .run(context)
    }
}

/// A network that carries one direction only.
struct NetworkOneWay: Fault {
    let name = "network-one-way"
    let summary = "network: one direction only, each in turn"

    func run(_ context: FaultContext) async throws -> FaultReport {
        try await NetworkFault(name: name) { experiment, proxy in
            for direction in [ProxyDirection.toBroker, .toClient] {
                proxy.set(.swallow(direction))
                try await Task.sleep(for: context.size(short: .seconds(5), long: .seconds(15)))
                proxy.set(.pass)
                experiment.mark(countsNewJobsOnly: true)
                try await experiment.waitForJobs(context.size(short: 100, long: 3_000))
            }
        }
        .run(context)
    }
}

/// The broker closes the channels on which it delivers.
struct ChannelError: Fault {
    let name = "channel-error"
    let summary = "channel error on every consumer's channel, several times"

    func run(_ context: FaultContext) async throws -> FaultReport {
        try await NetworkFault(name: name) { experiment, proxy in
            for _ in 0..<context.size(short: 3, long: 10) {
                proxy.injectChannelErrors()
                experiment.mark()
                try await experiment.waitForJobs(context.size(short: 100, long: 1_000))
            }
        }
        .run(context)
    }
}
