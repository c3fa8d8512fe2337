import DequeModule

/// The messages of a queue that wait for delivery, in the order in which they will go.
///
/// A value. Within a priority a message's position decides; those that were given back in the order of their return go before all others.
struct ReadyMessages: Sendable {
    /// How priorities share.
    enum Priorities: Sendable, Hashable {
        /// Higher ones go first.
        case strict(levels: Int)
        /// Of two, the higher goes twice for each time of the lower.
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
    private var returned: Deque<StoredMessage> = []
    /// No higher level has messages.
    private var top = 0
    /// How many of the upper class went since one of the lower did.
    private var favoured = 0
    /// How many messages there are.
    private(set) var count = 0
    /// How many bytes their bodies have.
    private(set) var bytes = 0

    init(_ priorities: Priorities = .strict(levels: 1)) {
        self.priorities = priorities
        levels = Array(repeating: [], count: priorities.levels)
    }

    var isEmpty: Bool { count == 0 }

    /// The message that goes next.
    var first: StoredMessage? {
        if let message = returned.first { return message }
        return nextLevel.flatMap { levels[$0].first }
    }

    /// Takes the message that goes next.
    mutating func popFirst() -> StoredMessage? {
        if count == 0 { return nil }
        let message: StoredMessage
        if let first = returned.popFirst() {
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

    /// Puts a message where its position is among those of its priority.
    mutating func insert(_ message: StoredMessage) {
        levels[message.level].insert(message, at: index(of: message.position, in: message.level))
        noteAdded(message)
    }

    /// Takes out the message at a position, if it is there.
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

    /// Where in a level the first message is whose position isn't lower.
    private func index(of position: UInt64, in level: Int) -> Int {
        var low = 0
        var high = levels[level].count
        // Most come back to the front.
        if let first = levels[level].first, position <= first.position { return 0 }
        while low < high {
            let middle = (low + high) / 2
            if levels[level][middle].position < position { low = middle + 1 } else { high = middle }
        }
        return low
    }

    /// Puts a message behind those that were given back before it and before all others.
    mutating func appendRequeued(_ message: StoredMessage) {
        returned.append(message)
        noteAdded(message)
    }

    /// Takes all messages, in no order that matters.
    mutating func removeAll() -> [StoredMessage] {
        let all = Array(returned) + levels.flatMap { Array($0) }
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
