import AMQP

/// The visible state of a broker after a step: each queue's counts, and each consumer's deliveries.
struct SequenceObservation: Equatable {
    /// One line for each queue and consumer.
    private(set) var lines: [String] = []

    /// Observes a broker.
    ///
    /// - Parameter connection: The connection that is asked for the status of the queues.
    /// - Parameter names: The names of the sequence's queues and exchanges.
    /// - Parameter consumers: The consumers by their numbers.
    /// - Parameter got: The unsettled messages that were got singly.
    /// - Parameter differences: The known differences, which are left out.
    init(
        on connection: any Transport,
        names: SequenceNames,
        consumers: [Int: SequenceConsumer],
        got: [Delivery],
        differences: KnownDifferences
    ) async {
        for number in 0...Operation.lastQueue {
            do throws(AMQPError) {
                let status = try await connection.status(ofQueue: names.queue(number))
                let isCounted = differences.comparesConsumerCount(of: number, consumers, got: got, names: names)
                let count = isCounted ? ", \(status.consumerCount) consumers" : ""
                lines.append("q\(number): \(status.messageCount) ready\(count)")
            } catch {
                lines.append("q\(number): \(error.code)")
            }
        }
        for (number, consumer) in consumers.sorted(by: { $0.key < $1.key }) {
            let (deliveries, end) = consumer.received.all
            let texts = deliveries.map { Self.describe($0, names, differences) }
            lines.append(
                "c\(number) of q\(consumer.queue): \(texts.joined(separator: " "))\(end.map { " \($0)" } ?? "")"
            )
        }
    }

    /// A delivery as text: its body, marks, destination and death records.
    static func describe(_ delivery: Delivery, _ names: SequenceNames, _ differences: KnownDifferences) -> String {
        let isMarked = delivery.isRedelivered && differences.comparesRedelivered(delivery, names: names)
        var text = delivery.text + (isMarked ? "r" : "")
        let count = delivery.deliveryCount
        if count > 0 { text += "x\(count)" }
        let deaths = delivery.message.deaths.map { death in
            let queue = names.short(death["queue"]?.stringValue ?? "?")
            return "\(queue) \(death["reason"]?.stringValue ?? "?") \(death["count"]?.integerValue ?? 0)"
        }
        let way = "\(names.short(delivery.destination.exchange))>\(names.short(delivery.destination.routingKey))"
        return "\(text)(\(([way] + deaths.sorted()).joined(separator: ", ")))"
    }
}

/// The names of one sequence's queues and exchanges, which share a unique prefix.
struct SequenceNames {
    let prefix: String

    func queue(_ number: Int) -> String { "\(prefix)q\(number)" }
    func exchange(_ number: Int) -> String { "\(prefix)e\(number)" }

    /// A name without the prefix.
    func short(_ name: String) -> String {
        name.hasPrefix(prefix) ? String(name.dropFirst(prefix.count)) : name
    }
}
