import AMQP
import Warren

/// Reads the facts over AMQP: the one part of `doctor` that talks to the broker.
struct FactReader: Sendable {
    let transport: any Transport
    let topology: Topology
    let queues: [QueueName]

    /// Reads everything that AMQP tells.
    ///
    /// - Throws: `connectionFailed`, `authenticationFailed` and the like: then nothing is known.
    func read() async throws(AMQPError) -> DoctorFacts {
        var facts = DoctorFacts(broker: try await transport.broker(), topology: topology, queues: queues)
        let plan = topology.plan(for: queues, broker: facts.broker.version)
        facts.inspection = try await plan.inspect(on: transport)
        facts.statuses = try await topology.status(of: queues, on: transport)
        let ladder = try await DelayLadder.status(on: transport)
        facts.unrouted = ladder.first { $0.name == DelayLadder.unroutedName }?.ready ?? 0
        facts.publishing = await PublishTrialReader(transport: transport).read()
        return facts
    }
}
