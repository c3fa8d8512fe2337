/// The reports of handlers, for a test that waits for them.
package final class Journal<Entry: Sendable>: Sendable {
    private let entries: AsyncStream<Entry>
    private let feed: AsyncStream<Entry>.Continuation

    package init() { (entries, feed) = AsyncStream.makeStream(of: Entry.self) }

    package func write(_ entry: Entry) { feed.yield(entry) }

    /// The next `count` entries; suspends until they are there.
    package func next(_ count: Int) async -> [Entry] {
        var found: [Entry] = []
        for await entry in entries {
            found.append(entry)
            if found.count == count { break }
        }
        return found
    }
}
