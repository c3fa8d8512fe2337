public import AMQP

/// Delays that the broker keeps: 28 queues, of which the n-th holds a message for 2ⁿ seconds.
///
/// A message's routing key begins with its delay in seconds, as 28 binary digits with dots between, and ends with its destination.
/// It enters at the exchange of its highest set bit. At each level the digit decides: `1` waits in the level's queue, which expires
/// into the exchange below; `0` goes to the exchange below at once. Under level 0 the delivery exchange hands it to the queue of
/// its destination. All queues are quorum queues that dead-letter at least once, so no restart loses a delay.
///
/// The ladder is shared by all applications of a virtual host. What it can't deliver, because nothing is bound for the
/// destination, goes to ``unroutedName``: otherwise it would sit in level 0 for ever.
public enum DelayLadder {
    /// How many levels there are.
    public static let levelCount = 28
    /// The longest delay that one trip down the ladder can last: 2²⁸ − 1 seconds, eight and a half years.
    public static let maximumDelay: Duration = .seconds((1 << levelCount) - 1)
    /// The longest destination in bytes: a routing key has 255, of which the digits take 56.
    public static let maximumDestinationLength = 199
    /// What the names of all the ladder's exchanges and queues begin with.
    static let namePrefix = "warren.delay.v1."
    /// The exchange under the lowest level, to which destinations are bound.
    public static let deliveryExchange = namePrefix + "delivery"
    /// The exchange and queue that take what no destination wants.
    public static let unroutedName = namePrefix + "unrouted"

    /// The name of a level's exchange and of its queue.
    public static func name(ofLevel level: Int) -> String {
        precondition(
            (0..<levelCount).contains(level),
            "The delay ladder has levels 0 to \(levelCount - 1), not \(level)."
        )
        return namePrefix + (level < 10 ? "level-0\(level)" : "level-\(level)")
    }

    /// Where to publish a message so that it reaches `destination` after `delay`; `nil` for a delay of less than a second, which
    /// never goes to the ladder.
    ///
    /// Whole seconds count: what is left below a second the consumer waits out, by the message's `eta`. The ladder is never early.
    /// A delay beyond ``maximumDelay`` is cut to it: the consumer then sends the message down again, by its `eta`.
    ///
    /// - Parameter destination: The routing key on arrival: a queue or lane bound with ``binding(for:)``.
    /// - Parameter exactly: Whether to keep every second; else ``rounded(_:)`` saves rewrites of long delays.
    public static func route(_ delay: Duration, to destination: String, exactly: Bool = false) -> Destination? {
        let whole = min(max(delay, .zero), maximumDelay).components.seconds
        guard whole > 0 else { return nil }
        let seconds = exactly ? Int(whole) : rounded(Int(whole))
        let level = Int.bitWidth - 1 - seconds.leadingZeroBitCount
        return Destination(exchange: name(ofLevel: level), routingKey: digits(of: seconds) + "." + destination)
    }

    /// Seconds rounded up to the highest bit and five more: less than a 32nd later, and at most six waits instead of up to 28,
    /// each of which the broker has to write.
    public static func rounded(_ seconds: Int) -> Int {
        let surplusBits = max(0, Int.bitWidth - seconds.leadingZeroBitCount - significantBits)
        let unit = 1 << surplusBits
        let up = (seconds + unit - 1) / unit * unit
        return up < 1 << levelCount ? up : seconds
    }

    /// The destination in a routing key of the ladder, or `nil` if the key isn't one.
    ///
    /// A message that came down the ladder is delivered with its 28 digits still on.
    public static func destination(fromRoutingKey key: String) -> String? {
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

    /// The binding that lets `queue` have what came down the ladder for the destination of its name.
    ///
    /// It demands exactly 28 words before the name; `#.orders` would also take the messages of `eu.orders`.
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

    static func wildcards(_ count: Int) -> String { String(repeating: "*.", count: count) }
}

extension DelayLadder {
    /// What the ladder consists of, in an order in which it can be declared: what a thing refers to comes before it.
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
}

extension DelayLadder {
    /// How the ladder's queues stand: its levels, the longest first, and the queue of what couldn't be routed.
    ///
    /// Nothing, if the ladder was never declared.
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
                // Declared in one go: where one is missing, there is no ladder, and asking for the others would only cost channels.
                guard error.code == .notFound else { throw error }
                return statuses
            }
        }
        return statuses
    }
}
