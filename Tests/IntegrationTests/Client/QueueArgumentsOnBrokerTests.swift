import AMQP
import Foundation
import RabbitMQ
import Testing

@Suite(
    .enabled(if: ProcessInfo.processInfo.environment["WARREN_BROKER_URL"] != nil, "needs WARREN_BROKER_URL"),
    .timeLimit(.minutes(1))
)
struct QueueArgumentsOnBrokerTests {
    let client: RabbitMQClient
    let name = "arguments \(UInt64.random(in: 0 ... .max))"

    init() throws {
        client = try RabbitMQClient(url: ProcessInfo.processInfo.environment["WARREN_BROKER_URL"] ?? "")
    }

    /// Typed arguments that `validate()` refuses, sent without validation.
    static let refused: [(QueueKind, FieldTable)] = [
        (.quorum, ["x-max-priority": 5]), (.quorum, ["x-max-age": "1s"]),
        (.quorum, ["x-stream-max-segment-size-bytes": 1000]), (.quorum, ["x-message-ttl": -1]),
        (.quorum, ["x-message-ttl": 315_360_000_001]), (.quorum, ["x-expires": 0]), (.quorum, ["x-max-length": -1]),
        (.quorum, ["x-dead-letter-routing-key": "key"]), (.quorum, ["x-quorum-initial-group-size": 0]),
        (.classic, ["x-delivery-limit": 5]),
        (.classic, ["x-dead-letter-exchange": "dead", "x-dead-letter-strategy": "at-most-once"]),
        (.classic, ["x-max-age": "1s"]), (.classic, ["x-quorum-initial-group-size": 3]),
        (.classic, ["x-max-priority": 256]),
        (.stream, ["x-message-ttl": 1000]), (.stream, ["x-expires": 1000]), (.stream, ["x-max-length": 10]),
        (.stream, ["x-overflow": "drop-head"]), (.stream, ["x-dead-letter-exchange": "dead"]),
        (.stream, ["x-single-active-consumer": true]), (.stream, ["x-max-priority": 5]),
        (.stream, ["x-delivery-limit": 5]), (.stream, ["x-max-age": "0s"]),
        (.stream, ["x-stream-max-segment-size-bytes": 3_000_000_001]),
    ]

    @Test(arguments: refused)
    func `Arguments that validation refuses are refused by the broker too`(
        _ kind: QueueKind,
        _ arguments: FieldTable
    ) async throws {
        var queue = QueueDeclaration(name)
        queue.arguments.other = (["x-queue-type": .string(kind.rawValue)] as FieldTable).merging(arguments)
        try queue.validate()
        let error = await #expect(throws: AMQPError.self) { try await client.declare(queue) }
        #expect(error?.code == .refused, "\(String(describing: error))")
        try await client.deleteQueue(name)
        await client.close()
    }

    @Test func `Arguments that validation accepts are accepted by the broker`() async throws {
        let good = [
            QueueArguments(.quorum) {
                $0.messageTTL = .seconds(134_217_728)
                $0.expires = .seconds(315_360_000)
                $0.maxLength = 0
                $0.maxLengthBytes = 1
                $0.overflow = .rejectPublish
                $0.deadLetterExchange = ""
                $0.deadLetterRoutingKey = "key"
                $0.deadLetterStrategy = .atLeastOnce
                $0.deliveryLimit = 50
                $0.singleActiveConsumer = true
                $0.quorumInitialGroupSize = 1
            },
            QueueArguments(.classic) {
                $0.maxPriority = 255
                $0.messageTTL = .zero
                $0.overflow = .rejectPublishDLX
            },
            QueueArguments(.stream) {
                $0.maxAge = .seconds(1)
                $0.maxLengthBytes = 1_000_000
                $0.streamMaxSegmentSizeBytes = 3_000_000_000
            },
        ]
        for (index, arguments) in good.enumerated() {
            let queue = QueueDeclaration("\(name) \(index)", arguments: arguments)
            try await client.declare(queue)
            try await client.declare(queue)
            try await client.deleteQueue(queue.name)
        }
        await client.close()
    }
}
