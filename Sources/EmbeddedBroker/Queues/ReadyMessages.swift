import DequeModule

/// The messages of a queue that wait for delivery, in the order of their delivery.
///
/// A value. Within a priority the position decides; messages added by ``appendRequeued(_:)`` go before all others.
struct ReadyMessages: Sendable {
    /// The rule by which priorities share the deliveries.
    enum Priorities: Sendable, Hashable {
        /// Higher ones go first.
        case strict(levels: Int)
        /// Of two levels, the higher goes twice for each time of the lower.
        case twoToOne

        var levels: Int {
            switch self {
            case .strict(let levels): levels
            case .twoToOne: 2
            }
        }
    }

    private let priorities: Priorities
    private var levels: [Deque<StoredMessage>]
    private var requeued: Deque<StoredMessage> = []
    /// The highest level that may have messages.
    private var top = 0
    /// The number of messages taken from the higher of two levels since one was taken from the lower.
    private var favoured = 0
    /// The number of messages.
    private(set) var count = 0
    /// The size of all bodies, in bytes.
    private(set) var bytes = 0

    init(_ priorities: Priorities = .strict(levels: 1)) {
        self.priorities = priorities
        levels = Array(repeating: [], count: priorities.levels)
    }

    var isEmpty: Bool { count == 0 }

    /// The next message to deliver.
    var first: StoredMessage? {
        if let message = requeued.first { return message }
        return nextLevel.flatMap { levels[$0].first }
    }

    /// Removes and returns the next message to deliver.
    mutating func popFirst() -> StoredMessage? {
        if count == 0 { return nil }
        let message: StoredMessage
        if let first = requeued.popFirst() {
            message = first
        } else {
            guard let level = nextLevel, let first = levels[level].popFirst() else { return nil }
            top = levels[top].isEmpty ? levels[..<top].lastIndex { !$0.isEmpty } ?? 0 : top
            if priorities == .twoToOne { favoured = level == 1 ? favoured + 1 : 0 }
            message = first
        }
        count -= 1
        bytes -= message.content.size
        return message
    }

    /// Adds a message behind all others of its priority.
    mutating func append(_ message: StoredMessage) {
        levels[message.level].append(message)
        noteAdded(message)
    }

    /// Inserts a message at its position within its priority.
    mutating func insert(_ message: StoredMessage) {
        levels[message.level].insert(message, at: index(of: message.position, in: message.level))
        noteAdded(message)
    }

    /// Removes and returns the message at a position, if there is one.
    @discardableResult
    mutating func remove(position: UInt64) -> StoredMessage? {
        for level in levels.indices {
            let index = index(of: position, in: level)
            guard index < levels[level].count, levels[level][index].position == position else { continue }
            let message = levels[level].remove(at: index)
            count -= 1
            bytes -= message.content.size
            return message
        }
        return nil
    }

    /// The index of a level's first message with this position or a higher one.
    private func index(of position: UInt64, in level: Int) -> Int {
        var low = 0
        var high = levels[level].count
        // Most messages are requeued at the front.
        if let first = levels[level].first, position <= first.position { return 0 }
        while low < high {
            let middle = (low + high) / 2
            if levels[level][middle].position < position { low = middle + 1 } else { high = middle }
        }
        return low
    }

    /// Adds a message behind those that were requeued before it, and before all others.
    mutating func appendRequeued(_ message: StoredMessage) {
        requeued.append(message)
        noteAdded(message)
    }

    /// Removes and returns all messages, in no particular order.
    mutating func removeAll() -> [StoredMessage] {
        let all = Array(requeued) + levels.flatMap { Array($0) }
        self = ReadyMessages(priorities)
        return all
    }

    private mutating func noteAdded(_ message: StoredMessage) {
        count += 1
        top = max(top, message.level)
        bytes += message.content.size
    }

    private var nextLevel: Int? {
        if priorities == .twoToOne, favoured >= 2, !levels[0].isEmpty { return 0 }
        return levels[...top].lastIndex { !$0.isEmpty }
    }
}
