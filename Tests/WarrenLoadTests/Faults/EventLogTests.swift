import Foundation
import Testing

@testable import WarrenLoad

@Suite struct EventLogTests {
    private func withFolder(_ body: (URL) throws -> Void) throws {
        let folder = FileManager.default.temporaryDirectory.appending(path: "events-\(UUID().uuidString)")
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(at: folder) }
        try body(folder)
    }

    @Test(arguments: ["", "b", "b 1", "x 1 id", "b one id", "d  "])
    func `A malformed line of an event log is not read`(_ text: String) {
        #expect(EventLogEntry(text[...]) == nil)
    }

    @Test func `A reader yields each entry once, and only when its line is complete`() throws {
        try withFolder { folder in
            let path = folder.appending(path: "w1.events").path
            let file = try EventLogWriter(path: path)
            var reader = EventLogReader(folder: folder)
            var seen: [String] = []
            func read() throws { try reader.read { line, worker in seen.append("\(worker) \(line.event) \(line.id)") } }
            try file.write(.begun, "a b")
            try read()
            try read()
            #expect(seen == ["w1 begun a b"])
            let raw = try FileHandle(forWritingTo: URL(filePath: path))
            try raw.seekToEnd()
            try raw.write(contentsOf: Data("d 5 ".utf8))
            try read()
            try raw.write(contentsOf: Data("a b\nd".utf8))
            try read()
            #expect(seen == ["w1 begun a b", "w1 done a b"])
        }
    }

    @Test func `An existing event log is continued`() throws {
        try withFolder { folder in
            let path = folder.appending(path: "w1.events").path
            try EventLogWriter(path: path).write(.begun, "a")
            try EventLogWriter(path: path).write(.done, "a")
            #expect(try String(contentsOfFile: path, encoding: .utf8).split(separator: "\n").count == 2)
        }
    }
}
