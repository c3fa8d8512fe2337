import Foundation

#if canImport(System)
import System
#else
import SystemPackage
#endif

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

/// The journal that a worker process writes.
///
/// Each line is handed to the operating system before the call returns, so it survives the process, however that ends.
struct JournalFile: Sendable {
    private let file: FileDescriptor

    init(path: String) throws {
        file = try FileDescriptor.open(
            FilePath(path),
            .writeOnly,
            options: [.append, .create],
            permissions: [.ownerReadWrite]
        )
    }

    func write(_ event: JournalLine.Event, _ id: String) throws {
        try file.writeAll(JournalLine(event: event, time: WallClock.now, id: id).text.utf8)
    }
}

/// Reads the journals of a folder as they grow.
///
/// A file's name, without its ending, is the name of the worker that writes it.
struct JournalReader {
    static let suffix = ".journal"

    let folder: URL
    private var offsets: [String: UInt64] = [:]

    init(folder: URL) { self.folder = folder }

    /// Gives `body` every whole line that was written since the last time, with its worker.
    mutating func read(_ body: (_ line: JournalLine, _ worker: String) -> Void) throws {
        for name in try FileManager.default.contentsOfDirectory(atPath: folder.path).sorted()
        where name.hasSuffix(Self.suffix) {
            let worker = String(name.dropLast(Self.suffix.count))
            let file = try FileHandle(forReadingFrom: folder.appending(path: name))
            defer { try? file.close() }
            try file.seek(toOffset: offsets[name] ?? 0)
            guard let data = try file.readToEnd(), let end = data.lastIndex(of: UInt8(ascii: "\n")) else { continue }
            offsets[name, default: 0] += UInt64(end - data.startIndex + 1)
            for line in String(decoding: data[..<end], as: UTF8.self).split(separator: "\n") {
                if let line = JournalLine(line) { body(line, worker) }
            }
        }
    }
}

/// The time of day, which all processes of a machine share.
enum WallClock {
    /// Microseconds since 1970.
    static var now: Int64 { Int64(Date().timeIntervalSince1970 * 1e6) }
}
