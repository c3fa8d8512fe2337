import DequeModule

/// Which publishes on a channel in confirm mode still wait for the broker's answer.
///
/// Confirms name messages by number: the first on a channel is 1. One answer may cover all up to its number.
/// (<https://www.rabbitmq.com/docs/confirms#publisher-confirms>)
struct ConfirmTracker<Publish> {
    private var waiting: Deque<Publish?> = []
    private var firstTag: UInt64 = 1

    init() {}

    /// How many wait for an answer, or were answered before an older one.
    var count: Int { waiting.count }

    /// Notes a publish that is sent now.
    mutating func append(_ publish: Publish) {
        waiting.append(publish)
    }

    /// Takes an answer of the broker, and passes the publishes that it decides to `decide`, oldest first.
    ///
    /// An answer to a number that doesn't wait decides nothing.
    mutating func confirm(_ tag: UInt64, multiple: Bool, _ decide: (Publish) -> Void) {
        guard tag >= firstTag, tag - firstTag < UInt64(waiting.count) else { return }
        let index = Int(tag - firstTag)
        if multiple {
            for publish in waiting.prefix(index + 1) {
                if let publish { decide(publish) }
            }
            dropFirst(index + 1)
        } else {
            if let publish = waiting[index] { decide(publish) }
            waiting[index] = nil
        }
        dropAnswered()
    }

    /// Forgets those that nobody waits for any more; their answers, should they come, decide nothing.
    mutating func forget(where isForgotten: (Publish) -> Bool) {
        for index in waiting.indices {
            if let publish = waiting[index], isForgotten(publish) { waiting[index] = nil }
        }
        dropAnswered()
    }

    /// Calls `body` with each publish that waits, oldest first, until it returns false.
    func visit(while body: (Publish) -> Bool) {
        for case let publish? in waiting {
            guard body(publish) else { return }
        }
    }

    /// All that wait, oldest first; none waits afterwards.
    ///
    /// For a channel that is gone.
    mutating func takeAll() -> [Publish] {
        defer { self = ConfirmTracker() }
        return waiting.compactMap(\.self)
    }

    private mutating func dropAnswered() {
        dropFirst(waiting.firstIndex { $0 != nil } ?? waiting.count)
    }

    private mutating func dropFirst(_ count: Int) {
        guard count > 0 else { return }
        waiting.removeFirst(count)
        firstTag += UInt64(count)
    }
}
