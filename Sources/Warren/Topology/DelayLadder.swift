public import AMQP

/// Delays that the broker keeps: 28 queues, of which the n-th holds a message for 2ⁿ seconds.
///
/// A message's routing key begins with its delay in seconds, as 28 binary digits separated by dots, and ends with its
/// destination. It enters at the exchange of its highest set bit. At each level the digit decides: with `1` the message
/// waits in the level's queue, which expires into the exchange below; with `0` it goes to the exchange below at once.
/// Under level 0 the delivery exchange routes it to the queue of its destination. All queues are quorum queues that
/// dead-letter at least once, so no restart loses a delay.
///
/// All applications of a virtual host share the ladder. A message that it can't deliver, because nothing is bound for
/// the destination, goes to ``unroutedName``; otherwise it would stay in level 0 forever.
public enum DelayLadder {
    /// The number of levels.
    public static let levelCount = 28
    /// The longest delay of one pass through the ladder: 2²⁸ − 1 seconds, eight and a half years.
    public static let maximumDelay: Duration = .seconds((1 << levelCount) - 1)
    /// The longest destination in bytes: a routing key has 255, of which the digits take 56.
    package static let maximumDestinationLength = 199
    /// The prefix of the names of all the ladder's exchanges and queues.
    static let namePrefix = "warren.delay.v1."
    /// The exchange under the lowest level, to which destinations are bound.
    public static let deliveryExchange = namePrefix + "delivery"
    /// The exchange and queue of the messages that have no destination.
    public static let unroutedName = namePrefix + "unrouted"

    /// The name of a level's exchange and of its queue.
    package static func name(ofLevel level: Int) -> String {
        precondition(
            (0..<levelCount).contains(level),
            "The delay ladder has levels 0 to \(levelCount - 1), not \(level)."
        )
        return namePrefix + (level < 10 ? "level-0\(level)" : "level-\(level)")
    }

    /// The destination at which to publish a message so that it reaches `destination` after `delay`; `nil` for a delay
    /// of less than a second, which never goes to the ladder.
    ///
    /// Only whole seconds count; the consumer waits out the fraction, by the message's `eta`. The ladder is never
    /// early. A delay beyond ``maximumDelay`` is cut to it: the consumer then sends the message down the ladder again,
    /// by its `eta`.
    ///
    /// - Parameters:
    ///   - delay: The delay.
    ///   - destination: The routing key on arrival: a queue or lane bound with ``binding(for:)``.
    ///   - exactly: Whether to keep every second; otherwise ``rounded(_:)`` saves rewrites of long delays.
    package static func route(_ delay: Duration, to destination: String, exactly: Bool = false) -> Destination? {
        let whole = min(max(delay, .zero), maximumDelay).components.seconds
        guard whole > 0 else { return nil }
        let seconds = exactly ? Int(whole) : rounded(Int(whole))
        let level = Int.bitWidth - 1 - seconds.leadingZeroBitCount
        return Destination(exchange: name(ofLevel: level), routingKey: digits(of: seconds) + "." + destination)
    }

    /// Seconds rounded up to the highest bit and five more: less than a 32nd later, and at most six waits instead of up
    /// to 28, each of which costs the broker a write.
    package static func rounded(_ seconds: Int) -> Int {
        let surplusBits = max(0, Int.bitWidth - seconds.leadingZeroBitCount - significantBits)
        let unit = 1 << surplusBits
        let up = (seconds + unit - 1) / unit * unit
        return up < 1 << levelCount ? up : seconds
    }

    /// The destination in a routing key of the ladder, or `nil` if the key isn't one.
    ///
    /// A message that came down the ladder is delivered with the 28 digits still in its routing key.
    package static func destination(fromRoutingKey key: String) -> String? {
        let utf8 = key.utf8
        guard utf8.count > 2 * levelCount else { return nil }
        var index = utf8.startIndex
        for _ in 0..<levelCount {
            guard utf8[index] == UInt8(ascii: "0") || utf8[index] == UInt8(ascii: "1") else { return nil }
            index = utf8.index(after: index)
            guard utf8[index] == UInt8(ascii: ".") else { return nil }
            index = utf8.index(after: index)
        }
        return String(key[index...])
    }

    /// The binding that routes messages from the ladder to `queue`, whose name is their destination.
    ///
    /// It demands exactly 28 words before the name; `#.orders` would also match the messages of `eu.orders`.
    public static func binding(for queue: String) -> Binding {
        Binding(from: deliveryExchange, to: .queue(queue), routingKey: wildcards(levelCount) + queue)
    }

    private static let significantBits = 6

    private static func digits(of seconds: Int) -> String {
        var key = ""
        key.reserveCapacity(2 * levelCount + maximumDestinationLength)
        for level in (0..<levelCount).reversed() {
            key += seconds >> level & 1 == 1 ? "1" : "0"
            if level > 0 { key += "." }
        }
        return key
    }

    private static func wildcards(_ count: Int) -> String { String(repeating: "*.", count: count) }

    // MARK: - Plan

    /// The exchanges, queues and bindings of the ladder, each after those that it refers to.
    public static let plan: TopologyPlan = {
        var plan = TopologyPlan()
        plan.add(ExchangeDeclaration(unroutedName, kind: .fanout))
        plan.add(QueueDeclaration(unroutedName, arguments: QueueArguments(.quorum)))
        plan.add(Binding(from: unroutedName, to: .queue(unroutedName), routingKey: ""))
        plan.add(ExchangeDeclaration(deliveryExchange, kind: .topic, alternateExchange: unroutedName))
        for level in 0..<levelCount { addLevel(level, to: &plan) }
        return plan
    }()

    private static func addLevel(_ level: Int, to plan: inout TopologyPlan) {
        let levelName = name(ofLevel: level)
        let below = level == 0 ? deliveryExchange : name(ofLevel: level - 1)
        let higherDigits = wildcards(levelCount - 1 - level)
        plan.add(ExchangeDeclaration(levelName, kind: .topic))
        plan.add(
            QueueDeclaration(
                levelName,
                arguments: QueueArguments(.quorum) {
                    $0.messageTTL = .seconds(1 << level)
                    $0.deadLetterExchange = below
                    $0.deadLetterStrategy = .atLeastOnce
                    $0.overflow = .rejectPublish
                }
            )
        )
        plan.add(Binding(from: levelName, to: .queue(levelName), routingKey: higherDigits + "1.#"))
        plan.add(Binding(from: levelName, to: .exchange(below), routingKey: higherDigits + "0.#"))
    }

    // MARK: - Status

    /// The status of the ladder's queues: its levels, the longest first, and the queue of unrouted messages.
    ///
    /// Empty if the ladder was never declared.
    ///
    /// - Throws: `accessRefused`, `connectionFailed` and the like.
    public static func status(on transport: any Transport) async throws(AMQPError) -> [LaneStatus] {
        var statuses: [LaneStatus] = []
        let levels = (0..<levelCount).reversed().map(name(ofLevel:))
        for name in levels + [unroutedName] {
            do {
                let found = try await transport.status(ofQueue: name)
                statuses.append(
                    LaneStatus(
                        queue: String(namePrefix.dropLast()),
                        lane: String(name.dropFirst(namePrefix.count)),
                        name: name,
                        exists: true,
                        ready: found.messageCount,
                        consumers: found.consumerCount
                    )
                )
            } catch {
                // The ladder is declared as a whole: if one queue is missing, so are the others, and asking for them
                // would only cost channels.
                guard error.code == .notFound else { throw error }
                return statuses
            }
        }
        return statuses
    }
}
