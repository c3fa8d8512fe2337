import AMQP
import TestSupport

/// A random sequence of operations, the same for the same seed.
struct OperationSequence: Sendable {
    var operations: [Operation]

    /// Declares most of what the rest needs, and goes on at random.
    init(seed: UInt64, length: Int) {
        var random = SeededGenerator(seed: seed)
        operations = (0..<Operation.queues).map {
            .declareQueue($0, Self.profile(ofQueue: $0, &random))
        }
        operations.append(.declareExchange(0, Self.kind(&random)))
        operations.append(.bind(exchange: 0, queue: 0, key: Self.key(&random)))
        while operations.count < length { operations.append(Self.operation(&random)) }
    }

    private static func operation(_ random: inout SeededGenerator) -> Operation {
        let queue = Int.random(in: 0..<Operation.queues, using: &random)
        let anyQueue = Int.random(in: 0...Operation.lastQueue, using: &random)
        let exchange = Int.random(in: 0..<Operation.exchanges, using: &random)
        let consumer = Int.random(in: 0..<Operation.consumers, using: &random)
        return switch Int.random(in: 0..<100, using: &random) {
        case 0..<25: .publish(exchange: nil, key: "q\(queue)", priority: priority(&random), mandatory: true)
        case 25..<33: .publish(exchange: exchange, key: key(&random), priority: nil, mandatory: .random(using: &random))
        case 33..<45: .get(queue: anyQueue)
        case 45..<54: .consume(consumer: consumer, queue: anyQueue, prefetch: .random(in: 1...3, using: &random))
        case 54..<78:
            .settle(
                consumer: .random(using: &random) ? consumer : nil,
                index: .random(in: 0..<4, using: &random),
                Operation.Settlement.allCases.randomElement(using: &random) ?? .ack
            )
        case 78..<81: .cancel(consumer: consumer)
        case 81..<85: .close(consumer: consumer)
        case 85..<87: .purge(queue: anyQueue)
        case 87..<89: .deleteQueue(queue)
        case 89..<92: .declareQueue(queue, profile(ofQueue: queue, &random))
        case 92: .declareExchange(exchange, kind(&random))
        case 93..<96: .bind(exchange: exchange, queue: queue, key: key(&random))
        case 96: .bindExchange(exchange, to: 1 - exchange, key: key(&random))
        case 97: .unbind(exchange: exchange, queue: queue, key: key(&random))
        case 98: .deleteExchange(exchange)
        default: .closeConnection
        }
    }

    /// Only one queue dead-letters messages by itself: the order in which the dead letters of two arrive varies.
    private static func profile(ofQueue number: Int, _ random: inout SeededGenerator) -> QueueProfile {
        let profile = QueueProfile.allCases.randomElement(using: &random) ?? .classic
        return number > 0 && profile.hasSurplus ? .classicDead : profile
    }

    private static func kind(_ random: inout SeededGenerator) -> ExchangeKind {
        [.direct, .fanout, .topic].randomElement(using: &random) ?? .direct
    }

    private static func key(_ random: inout SeededGenerator) -> String {
        Operation.keys.randomElement(using: &random) ?? ""
    }

    private static func priority(_ random: inout SeededGenerator) -> UInt8? {
        .random(using: &random) ? nil : .random(in: 0...4, using: &random)
    }
}
