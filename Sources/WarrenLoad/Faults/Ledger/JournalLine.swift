/// One line of a worker's journal: that it began a job, or that it is done with one.
struct JournalLine: Sendable, Hashable {
    /// What a worker writes down.
    enum Event: String, Sendable {
        case begun = "b"
        case done = "d"
    }

    var event: Event
    /// Microseconds since 1970.
    var time: Int64
    var id: String

    /// The line with its end.
    var text: String { "\(event.rawValue) \(time) \(id)\n" }
}

extension JournalLine {
    /// Reads a line without its end; `nil` for anything else.
    init?(_ line: Substring) {
        let parts = line.split(separator: " ", maxSplits: 2)
        guard parts.count == 3, let event = Event(rawValue: String(parts[0])), let time = Int64(parts[1]) else {
            return nil
        }
        self.init(event: event, time: time, id: String(parts[2]))
    }
}
