import Foundation

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
