/// Records what handlers report, for a test that waits for it.
package final class Recorder<Entry: Sendable>: Sendable {
    private let entries: AsyncStream<Entry>
    private let feed: AsyncStream<Entry>.Continuation

    package init() { (entries, feed) = AsyncStream.makeStream(of: Entry.self) }

    package func record(_ entry: Entry) { feed.yield(entry) }

    /// Returns the next entries; suspends until there are `count` of them.
    package func next(_ count: Int) async -> [Entry] {
        var found: [Entry] = []
        for await entry in entries {
            found.append(entry)
            if found.count == count { break }
        }
        return found
    }
}
