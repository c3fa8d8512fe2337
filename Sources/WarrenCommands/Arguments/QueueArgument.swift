import ArgumentParser
import Warren

/// Queues as a command line gives them, with a worker's concurrency for each if wanted: `emails,reports=4`.
struct QueueArgument: ExpressibleByArgument, Sendable, Hashable {
    /// A queue, and how many of its jobs run at once.
    struct Item: Sendable, Hashable {
        var name: QueueName
        var concurrency: Int?
    }

    var items: [Item]

    /// `nil` if a name can't be a queue's, or a concurrency is no number from 1.
    init?(argument: String) {
        items = []
        for word in argument.split(separator: ",", omittingEmptySubsequences: false) {
            let parts = word.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
            let name = QueueName(String(parts[0]))
            guard (try? name.validate()) != nil else { return nil }
            var item = Item(name: name)
            if parts.count == 2 {
                guard let concurrency = Int(parts[1]), concurrency > 0 else { return nil }
                item.concurrency = concurrency
            }
            items.append(item)
        }
    }
}

extension [QueueArgument] {
    /// All the queues, in the order given.
    var items: [QueueArgument.Item] { flatMap(\.items) }
}
