/// `rabbitmqctl close_all_connections`.
struct ConnectionsClosed: Fault {
    let name = "connections-closed"
    let summary = "all connections closed by the broker's operator, several times"

    func run(_ context: FaultContext) async throws -> FaultReport {
        let broker = try await context.brokers.shared()
        let setup = Experiment.Setup(broker: try await broker.url(), load: .standard(context))
        return try await Experiment.run(name, context, setup) { experiment in
            for _ in 0..<context.size(short: 2, long: 10) {
                try await experiment.waitForJobs(context.size(short: 100, long: 1_500))
                try await broker.ctl("close_all_connections", "the experiment wants it")
                experiment.mark()
                try await experiment.waitForJobs(1)
            }
        }
    }
}
