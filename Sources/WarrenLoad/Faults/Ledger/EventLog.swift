import Foundation

#if canImport(System)
import System
#else
import SystemPackage
#endif

/// One line of a worker's event log: it began a job, or completed one.
struct EventLogEntry: Sendable, Hashable {
    /// The kind of event.
    enum Event: String, Sendable {
        case begun = "b"
        /// It began a job that the broker may have delivered before.
        case begunAgain = "r"
        case done = "d"
    }

    var event: Event
    /// Microseconds since 1970.
    var time: Int64
    var id: String

    /// The entry as a line, line end included.
    var text: String { "\(event.rawValue) \(time) \(id)\n" }
}

extension EventLogEntry {
    /// Parses a line without its end; `nil` for anything else.
    init?(_ line: Substring) {
        let parts = line.split(separator: " ", maxSplits: 2)
        guard parts.count == 3, let event = Event(rawValue: String(parts[0])), let time = Int64(parts[1]) else {
            return nil
        }
        self.init(event: event, time: time, id: String(parts[2]))
    }
}

/// Writes the event log of a worker process.
///
/// Each entry is passed to the operating system before the call returns, so it survives any end of the process.
struct EventLogWriter: Sendable {
    private let file: FileDescriptor

    init(path: String) throws {
        file = try FileDescriptor.open(
            FilePath(path),
            .writeOnly,
            options: [.append, .create],
            permissions: [.ownerReadWrite]
        )
    }

    func write(_ event: EventLogEntry.Event, _ id: String) throws {
        try file.writeAll(EventLogEntry(event: event, time: WallClock.now, id: id).text.utf8)
    }
}

/// Reads the event logs in a folder as they grow.
///
/// A file's name without its suffix is the name of the worker that writes it.
struct EventLogReader {
    static let suffix = ".events"

    let folder: URL
    private var offsets: [String: UInt64] = [:]

    init(folder: URL) { self.folder = folder }

    /// Calls `body` with every complete entry written since the last call, and with its worker.
    mutating func read(_ body: (_ entry: EventLogEntry, _ worker: String) -> Void) throws {
        for name in try FileManager.default.contentsOfDirectory(atPath: folder.path).sorted()
        where name.hasSuffix(Self.suffix) {
            let worker = String(name.dropLast(Self.suffix.count))
            let file = try FileHandle(forReadingFrom: folder.appending(path: name))
            defer { try? file.close() }
            try file.seek(toOffset: offsets[name] ?? 0)
            guard let data = try file.readToEnd(), let end = data.lastIndex(of: UInt8(ascii: "\n")) else { continue }
            offsets[name, default: 0] += UInt64(end - data.startIndex + 1)
            for line in String(decoding: data[..<end], as: UTF8.self).split(separator: "\n") {
                if let entry = EventLogEntry(line) { body(entry, worker) }
            }
        }
    }
}

/// The time of day, which all processes of a machine share.
enum WallClock {
    /// Microseconds since 1970.
    static var now: Int64 { Int64(Date().timeIntervalSince1970 * 1e6) }
}
