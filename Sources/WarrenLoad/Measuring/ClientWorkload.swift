import AMQP
import Foundation
import RabbitMQ

/// The client's measurements, with the same messages, queue and sequence as the C program.
struct ClientWorkload {
    let client: RabbitMQClient
    let count: Int
    let queue = "warren-load-client"

    init(_ url: String, _ count: Int) throws {
        client = try RabbitMQClient(url: url)
        self.count = count
    }

    /// Publishes with `inFlight` tasks, each of which awaits the confirm of every message.
    func publish(_ work: Work, inFlight: Int) async throws -> Figure {
        try await prepareQueue()
        let start = Stopwatch()
        switch work {
        case .publishOnExecutor, .publishSerialOnExecutor:
            try await withTaskExecutorPreference(client.publishingExecutor) {
                try await publishAll(inFlight: inFlight)
            }
        default: try await publishAll(inFlight: inFlight)
        }
        let end = Stopwatch()
        try await finish()
        return Figure(work, count: count, from: start, to: end)
    }

    /// Consumes messages published before, and settles each delivery individually.
    func consume(prefetch: Int) async throws -> Figure {
        try await prepareQueue()
        try await publishAll(inFlight: Load.inFlight)
        let start = Stopwatch()
        let deliveries = try await client.consume(queue: queue, prefetch: UInt16(prefetch))
        var left = count
        for try await delivery in deliveries {
            delivery.ack()
            left -= 1
            if left == 0 { break }
        }
        let end = Stopwatch()
        // A quorum queue may lose acknowledgements that a channel still buffers when it closes; a cancel waits for
        // them.
        await deliveries.cancel(requeuesUnsettled: true)
        let status = try await client.status(ofQueue: queue)
        guard status.messageCount == 0, left == 0 else {
            throw LoadError("\(status.messageCount) messages came back to the queue, and \(left) never came.")
        }
        try await finish()
        return Figure(.consume, count: count, from: start, to: end)
    }

    private func prepareQueue() async throws {
        try await client.deleteQueue(queue)
        try await client.declare(QueueDeclaration(queue, arguments: QueueArguments(.quorum)))
    }

    private func publishAll(inFlight: Int) async throws {
        try await withThrowingDiscardingTaskGroup { group in
            for number in 0..<inFlight {
                let share = count / inFlight + (number < count % inFlight ? 1 : 0)
                group.addTask { try await publish(share) }
            }
        }
    }

    private func publish(_ share: Int) async throws {
        let message = Self.message()
        let destination = Destination.queue(queue)
        for _ in 0..<share {
            try await client.publish(message, to: destination, mandatory: false, timeout: .seconds(30))
        }
    }

    private func finish() async throws {
        try await client.deleteQueue(queue)
        await client.close()
    }

    /// A persistent message with a body of JSON, of the same size as the C program's.
    private static func message() -> Message {
        let start = #"{"number":0.000000000,"to":"ada@example.com","text":""#
        let text = String(repeating: "x", count: Load.bodySize - start.utf8.count - 2)
        var message = Message(body: Array("\(start)\(text)\"}".utf8))
        message.properties.contentType = "application/json"
        message.properties.deliveryMode = .persistent
        return message
    }
}
