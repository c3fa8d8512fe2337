import AMQP

/// The parked queue (a parking-lot queue) of a job queue: jobs whose names no worker knew wait there for a worker that
/// does.
struct Parking: Sendable {
    let queue: QueueName
    let topology: Topology
    let transport: any Transport

    /// Returns jobs whose names satisfy `isKnown` to their original queue, and returns their number.
    ///
    /// It takes no more messages than there were when it began, so that two workers, one parking and one unparking,
    /// can't keep each other busy. A message is acknowledged after its copy is confirmed; if this process dies before,
    /// the broker requeues it.
    func unpark(until stopping: Latch, _ isKnown: (String) -> Bool) async throws(AMQPError) -> Int {
        var browsed = BrowsedDeliveries()
        defer { browsed.requeue() }
        var moved = 0
        for _ in 0..<(try await count()) where browsed.hasRoom && !stopping.isOpen {
            guard let delivery = try await transport.get(queue: queue.parked) else { break }
            let name = delivery.message.properties.headers?[EnvelopeHeader.task]?.stringValue
            guard let name, isKnown(name), try await unpark(delivery) else {
                browsed.add(delivery)
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

    /// Publishes a job to its original destination, then acks.
    ///
    /// Returns false if no queue takes it there.
    private func unpark(_ delivery: Delivery) async throws(AMQPError) -> Bool {
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

extension Message {
    /// A parked message as it was before it was parked.
    fileprivate func unparked() -> Message {
        var message = strippingBrokerHeaders()
        for name in [EnvelopeHeader.originalExchange, EnvelopeHeader.originalRoutingKey, EnvelopeHeader.parkedAt] {
            message.properties.headers?[name] = nil
        }
        return message
    }
}
