import AMQP
import Warren
import WarrenCommands

/// What is still on the way at the broker.
struct BrokerQueues {
    /// Jobs ready in the work queue, parked, on the delay ladder, or come off it with nowhere to go.
    var waiting: Int
    /// Jobs in the dead queue.
    var dead: Int

    var areEmpty: Bool { waiting == 0 }

    static func look(_ queue: QueueName, at broker: any Transport) async throws -> BrokerQueues {
        let lanes = try await Digest.topology.status(of: [queue], on: broker)
        let ladder = try await DelayLadder.status(on: broker)
        let dead = lanes.filter { $0.name == queue.dead }
        let others = lanes.filter { $0.name != queue.dead } + ladder
        return BrokerQueues(
            waiting: others.map(\.ready).reduce(0, +),
            dead: dead.map(\.ready).reduce(0, +)
        )
    }
}
