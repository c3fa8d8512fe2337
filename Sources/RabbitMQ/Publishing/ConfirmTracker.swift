import DequeModule

/// The publishes on a channel in confirm mode that still wait for the broker's answer.
///
/// Confirms identify messages by number: the first on a channel is 1. One answer may cover all messages up to its
/// number (<https://www.rabbitmq.com/docs/confirms#publisher-confirms>).
struct ConfirmTracker<Publish> {
    private var waiting: Deque<Publish?> = []
    private var firstTag: UInt64 = 1

    init() {}

    /// The number of publishes that wait for an answer, or were answered before an older one.
    var count: Int { waiting.count }

    /// Adds a publish that is sent now.
    mutating func append(_ publish: Publish) {
        waiting.append(publish)
    }

    /// Removes the publish that was added last, which was not sent after all.
    mutating func removeLast() { waiting.removeLast() }

    /// Handles an answer from the broker, and passes the publishes that it decides to `decide`, oldest first.
    ///
    /// An answer to a number that doesn't wait is ignored.
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

    /// Removes the publishes for which nobody waits any more; if their answers still come, they are ignored.
    mutating func discard(where isUnwanted: (Publish) -> Bool) {
        for index in waiting.indices {
            if let publish = waiting[index], isUnwanted(publish) { waiting[index] = nil }
        }
        dropAnswered()
    }

    /// Calls `body` with each publish that waits, oldest first, until it returns false.
    func visit(while body: (Publish) -> Bool) {
        for case let publish? in waiting {
            guard body(publish) else { return }
        }
    }

    /// Removes all publishes that wait, and returns them, oldest first.
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
