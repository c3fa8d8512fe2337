import AMQP
import Warren

/// Reads the facts over AMQP; the only part of `doctor` that uses the broker's connection.
struct FactReader: Sendable {
    let transport: any Transport
    let topology: Topology
    let queues: [QueueName]

    /// Reads everything that AMQP exposes.
    ///
    /// - Throws: `connectionFailed`, `authenticationFailed` and similar; then no fact is known.
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

/// Tests whether the broker accepts messages, by publishing two to a temporary queue.
///
/// A broker with an alarm reports it to a publisher (`connection.blocked`) only once that publisher sends something. It
/// may still accept the first message, but doesn't read the second.
struct PublishTrialReader: Sendable {
    let transport: any Transport
    /// The time limit of a publish.
    var timeout: Duration = .seconds(2)

    func read() async -> PublishTrial {
        let queue = "warren.doctor." + String(UInt64.random(in: 0 ... .max), radix: 36)
        do {
            // Exclusive, so that the broker deletes it with the connection if this process ends early.
            try await transport.declare(
                QueueDeclaration(
                    queue,
                    isDurable: false,
                    isExclusive: true,
                    isAutoDelete: true,
                    arguments: QueueArguments(.classic)
                )
            )
        } catch {
            return .notTried(reason: error.message)
        }
        let trial = await publishTwice(to: queue)
        _ = try? await transport.deleteQueue(queue)
        return trial
    }

    private func publishTwice(to queue: String) async -> PublishTrial {
        do throws(AMQPError) {
            for _ in 0..<2 {
                try await transport.publish(
                    Message(body: []),
                    to: Destination(exchange: "", routingKey: queue),
                    mandatory: true,
                    deadline: .now + timeout
                )
            }
        } catch {
            if let reason = transport.health.publishing.blockedReason { return .blocked(reason: reason) }
            return switch error.code {
            case .blocked: .blocked(reason: error.message)
            case .confirmTimedOut, .deadlineExceeded: .unanswered
            default: .notTried(reason: error.message)
            }
        }
        if let reason = transport.health.publishing.blockedReason { return .blocked(reason: reason) }
        return .confirmed
    }
}
