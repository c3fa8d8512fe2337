/// One node of three killed.
struct NodeKilled: Fault {
    let name = "node-killed"
    let summary = "one node of a three-node cluster killed by `kill -9`, quorum queues"

    func run(_ context: FaultContext) async throws -> FaultReport {
        let cluster = try await context.brokers.cluster()
        let nodes = try await cluster.nodes()
        // Callers and workers begin with node 1, and so it has the queue's leader; the observer keeps out of its way.
        let setup = Experiment.Setup(
            broker: nodes[2].url,
            url: nodes.map(\.url).joined(separator: ","),
            load: .standard(context)
        )
        let report = try await Experiment.run(name, context, setup) { experiment in
            try await experiment.waitForJobs(context.size(short: 200, long: 5_000))
            try await cluster.kill(node: 1)
            experiment.mark(countsNewJobsOnly: true)
            try await experiment.waitForJobs(context.size(short: 200, long: 5_000))
        }
        try await context.brokers.end(cluster)
        return report
    }
}
