public import AMQP

extension Topology {
    /// How these queues stand: each lane, the dead and the parked queue.
    ///
    /// Reading it changes nothing.
    ///
    /// - Throws: `accessRefused`, `connectionFailed` and the like; a queue that doesn't exist is no error.
    public func status(of queues: [QueueName], on transport: any Transport) async throws(AMQPError) -> [LaneStatus] {
        var statuses: [LaneStatus] = []
        for queue in queues {
            let lanes = configuration(of: queue).lanes.map { ($0.name, $0.queue(of: queue)) }
            for (lane, name) in lanes + [("dead", queue.dead), ("parked", queue.parked)] {
                statuses.append(try await status(of: queue, lane: lane, name: name, on: transport))
            }
        }
        return statuses
    }

    private func status(
        of queue: QueueName,
        lane: String,
        name: String,
        on transport: any Transport
    ) async throws(AMQPError) -> LaneStatus {
        var status = LaneStatus(queue: queue.rawValue, lane: lane, name: name, exists: false, ready: 0, consumers: 0)
        do {
            let found = try await transport.status(ofQueue: name)
            status.exists = true
            status.ready = found.messageCount
            status.consumers = found.consumerCount
        } catch {
            guard error.code == .notFound else { throw error }
        }
        return status
    }
}
