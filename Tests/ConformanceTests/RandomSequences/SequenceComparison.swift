import AMQP
import EmbeddedBroker
import RabbitMQ
import TestSupport

/// Plays one sequence on RabbitMQ and on an embedded broker, step by step.
struct SequenceComparison {
    /// Where the two differ.
    struct Difference: CustomStringConvertible {
        var step: Int
        var operation: Operation
        var rabbitMQ: [String]
        var embedded: [String]

        var description: String {
            """
            step \(step), \(operation):
              RabbitMQ: \(rabbitMQ.joined(separator: "; "))
              embedded: \(embedded.joined(separator: "; "))
            """
        }
    }

    let url: String
    let version: BrokerVersion
    /// How long RabbitMQ may take to show what the embedded broker shows at once.
    var patience = Duration.seconds(30)

    /// The first step after which the two differ; `nil` if there is none.
    func difference(in operations: [Operation]) async -> Difference? {
        let broker = EmbeddedBroker(version: version, clock: VirtualClock())
        let prefix = TestBroker.uniqueName("random") + "-"
        let url = url
        return await withDiscardingTaskGroup { group in
            let rabbitMQ = SequencePlayer(prefix: prefix) {
                RabbitMQClient(url: url, connectionName: "random sequences")
            }
            let embedded = SequencePlayer(prefix: prefix) { broker.connect(name: "random sequences") }
            await rabbitMQ.begin()
            await embedded.begin()
            var difference: Difference?
            for (step, operation) in operations.enumerated() {
                difference = await play(operation, step, rabbitMQ, embedded, &group)
                if difference != nil { break }
            }
            await rabbitMQ.end()
            await embedded.end()
            return difference
        }
    }

    private func play(
        _ operation: Operation,
        _ step: Int,
        _ rabbitMQ: SequencePlayer,
        _ embedded: SequencePlayer,
        _ group: inout DiscardingTaskGroup
    ) async -> Difference? {
        let expected = await embedded.play(operation, &group)
        let result = await rabbitMQ.play(operation, &group)
        guard result == expected else {
            return Difference(step: step, operation: operation, rabbitMQ: [result], embedded: [expected])
        }
        // Either may need a moment: RabbitMQ to take a settlement, both until their streams were read.
        let limit = ContinuousClock.now + patience
        while true {
            let seen = (rabbitMQ: await rabbitMQ.observe(), embedded: await embedded.observe())
            if seen.rabbitMQ == seen.embedded { break }
            if ContinuousClock.now > limit {
                return Difference(step: step, operation: operation, rabbitMQ: seen.rabbitMQ, embedded: seen.embedded)
            }
            try? await ContinuousClock().sleep(for: .milliseconds(2))
        }
        rabbitMQ.settleDown()
        embedded.settleDown()
        return nil
    }

    /// The sequence without the steps that the difference doesn't need, as far as leaving out one at a time shows it.
    func shrunk(_ operations: [Operation]) async -> [Operation] {
        var quick = self
        quick.patience = .milliseconds(700)
        var kept = operations
        for index in operations.indices.reversed() where index < kept.count {
            var fewer = kept
            fewer.remove(at: index)
            guard let difference = await quick.difference(in: fewer) else { continue }
            kept = Array(fewer[...difference.step])
        }
        return kept
    }
}
