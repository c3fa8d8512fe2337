import AMQP
import ArgumentParser
import EmbeddedBroker
import EmbeddedStore

/// Measures the rate of a durable broker: messages confirmed, and messages confirmed, delivered and acknowledged, per
/// second.
struct StoreMeasurement: AsyncParsableCommand {
    static let configuration = CommandConfiguration(commandName: "measure-store")

    @Option(help: "The broker's file.") var path: String
    @Option(help: "The number of unconfirmed messages at a time.") var inFlight = 100
    @Option var seconds = 5

    func run() async throws {
        for consumes in [false, true] {
            let (broker, journal) = try await EmbeddedBroker.open(path: path, StoreSettings())
            try await broker.declare(QueueDeclaration("measured", arguments: QueueArguments(.quorum)))
            try await broker.purgeQueue("measured")
            let before = journal.statistics
            let start = ContinuousClock.now
            let (confirmed, acknowledged) = try await publishAndConsume(broker, consumes: consumes)
            let took = (ContinuousClock.now - start) / .seconds(1)
            let transactions = max(1, journal.statistics.transactions - before.transactions)
            print(
                consumes ? "published and acknowledged:" : "published:",
                "\(Int(Double(confirmed) / took)) messages/s,",
                "\(Int(Double(transactions) / took)) transactions/s,",
                "\(confirmed / transactions) messages and",
                "\((journal.statistics.rows - before.rows) / transactions) rows each,",
                "\(acknowledged) of \(confirmed) acknowledged"
            )
            let closing = ContinuousClock.now
            await broker.close()
            let opening = ContinuousClock.now
            let again = try await EmbeddedBroker.open(path: path)
            print("closed in \(opening - closing), opened in \(ContinuousClock.now - opening)")
            await again.close()
        }
    }

    private func publishAndConsume(_ broker: EmbeddedBroker, consumes: Bool) async throws -> (Int, Int) {
        let end = ContinuousClock.now + .seconds(seconds)
        let stream = consumes ? try await broker.consume(queue: "measured", prefetch: UInt16(inFlight)) : nil
        async let acknowledged = Self.acknowledgeAll(of: stream)
        let confirmed = try await withThrowingTaskGroup(of: Int.self) { publishers in
            for _ in 0..<inFlight {
                publishers.addTask {
                    var count = 0
                    while ContinuousClock.now < end {
                        try await broker.publish(Self.message, to: .queue("measured"))
                        count += 1
                    }
                    return count
                }
            }
            return try await publishers.reduce(0, +)
        }
        await stream?.cancel()
        return (confirmed, try await acknowledged)
    }

    private static func acknowledgeAll(of stream: DeliveryStream?) async throws -> Int {
        guard let stream else { return 0 }
        var count = 0
        for try await delivery in stream {
            delivery.ack()
            count += 1
        }
        return count
    }

    /// A job's message, about as large as Warren's are.
    private static let message: Message = {
        var message = Message(body: Array(repeating: UInt8(ascii: "x"), count: 300))
        message.properties.contentType = "application/json"
        message.properties.contentEncoding = "utf-8"
        message.properties.deliveryMode = .persistent
        message.properties.messageID = "3f2b8c1e-7d6a-4c59-9a0e-1f2d3c4b5a69"
        message.properties.correlationID = message.properties.messageID
        message.properties.headers = [
            "lang": "swift", "task": "emails.send", "id": "3f2b8c1e-7d6a-4c59-9a0e-1f2d3c4b5a69", "retries": .int64(0),
            "origin": "4242@host", "root_id": "3f2b8c1e-7d6a-4c59-9a0e-1f2d3c4b5a69",
        ]
        return message
    }()
}
