import Foundation
import Testing

@testable import WarrenLoad

@Suite struct JournalTests {
    private func withFolder(_ body: (URL) throws -> Void) throws {
        let folder = FileManager.default.temporaryDirectory.appending(path: "journal-\(UUID().uuidString)")
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(at: folder) }
        try body(folder)
    }

    @Test(arguments: ["", "b", "b 1", "x 1 id", "b one id", "d  "])
    func `What is no line of a journal is not read as one`(_ text: String) {
        #expect(JournalLine(text[...]) == nil)
    }

    @Test func `A reader gives each line once, and a line only when its end is there`() throws {
        try withFolder { folder in
            let path = folder.appending(path: "w1.journal").path
            let file = try JournalFile(path: path)
            var reader = JournalReader(folder: folder)
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

    @Test func `A journal that exists is continued`() throws {
        try withFolder { folder in
            let path = folder.appending(path: "w1.journal").path
            try JournalFile(path: path).write(.begun, "a")
            try JournalFile(path: path).write(.done, "a")
            #expect(try String(contentsOfFile: path, encoding: .utf8).split(separator: "\n").count == 2)
        }
    }
}
