import AMQP
import EmbeddedBroker
import RabbitMQ
import TestSupport

/// Plays one sequence on RabbitMQ and on an embedded broker, and compares them after each step.
struct SequenceComparison {
    /// The first difference between the two.
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
    /// The time that RabbitMQ may take to reach the state that the embedded broker reaches at once.
    var timeout = Duration.seconds(30)

    /// The difference after the first step at which the two differ; `nil` if there is none.
    func difference(in operations: [Operation]) async -> Difference? {
        let broker = EmbeddedBroker(version: version, clock: VirtualClock())
        let names = SequenceNames(prefix: TestBroker.uniqueName("random") + "-")
        let url = url
        return await withDiscardingTaskGroup { group in
            let rabbitMQ = SequencePlayer(names: names) {
                rabbitMQClient(url, name: "random sequences")
            }
            let embedded = SequencePlayer(names: names) { broker.connect(name: "random sequences") }
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
        // Either may need a moment: RabbitMQ to process a settlement, both until their streams are read.
        let limit = ContinuousClock.now + timeout
        while true {
            let observed = (rabbitMQ: await rabbitMQ.observe(), embedded: await embedded.observe())
            if observed.rabbitMQ == observed.embedded { break }
            if ContinuousClock.now > limit {
                return Difference(
                    step: step,
                    operation: operation,
                    rabbitMQ: observed.rabbitMQ.lines,
                    embedded: observed.embedded.lines
                )
            }
            try? await ContinuousClock().sleep(for: .milliseconds(2))
        }
        rabbitMQ.acceptReceived()
        embedded.acceptReceived()
        return nil
    }

    /// The sequence reduced to the steps that a difference needs, found by leaving out one step at a time.
    func shrunk(_ operations: [Operation]) async -> [Operation] {
        var quick = self
        quick.timeout = .milliseconds(700)
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
