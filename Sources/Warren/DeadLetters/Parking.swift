import AMQP

/// The parked queue of a job queue, as a worker looks through it.
struct Parking: Sendable {
    let queue: QueueName
    let topology: Topology
    let transport: any Transport

    /// Moves jobs back to where they came from if `isKnown` says so of their names.
    ///
    /// Returns how many.
    ///
    /// It takes no more messages than there were when it began, so that two workers that park and move back can't keep each other busy. A
    /// message is acknowledged after its copy is confirmed; if this process dies meanwhile, all goes back to the parked queue.
    func unpark(until stopping: Latch, _ isKnown: (String) -> Bool) async throws(AMQPError) -> Int {
        var left = BrowsedDeliveries()
        defer { left.requeue() }
        var moved = 0
        for _ in 0..<(try await count()) where left.hasRoom && !stopping.isOpen {
            guard let delivery = try await transport.get(queue: queue.parked) else { break }
            let name = delivery.message.properties.headers?[EnvelopeHeader.task]?.stringValue
            guard let name, isKnown(name), try await moveBack(delivery) else {
                left.add(delivery)
                continue
            }
            moved += 1
        }
        return moved
    }

    private func count() async throws(AMQPError) -> Int {
        do {
            return try await transport.status(ofQueue: queue.parked).messageCount
        } catch {
            guard error.code == .notFound else { throw error }
            return 0
        }
    }

    /// Publishes a job to where it came from, then acks.
    ///
    /// False if no queue takes it there.
    private func moveBack(_ delivery: Delivery) async throws(AMQPError) -> Bool {
        let headers = delivery.message.properties.headers
        let destination = Destination(
            exchange: headers?[EnvelopeHeader.originalExchange]?.stringValue ?? topology.exchange,
            routingKey: headers?[EnvelopeHeader.originalRoutingKey]?.stringValue ?? queue.rawValue
        )
        do {
            try await transport.publish(
                delivery.message.unparked(),
                to: destination,
                mandatory: true,
                deadline: .now + .seconds(15)
            )
        } catch {
            guard error.code == .unroutable || error.code == .notFound else {
                delivery.nack(requeue: true)
                throw error
            }
            return false
        }
        delivery.ack()
        return true
    }
}
