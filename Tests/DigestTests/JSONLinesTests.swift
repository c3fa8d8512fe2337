import Foundation
import Testing

@testable import Digest

struct JSONLinesTests {
    private let folder: TemporaryFolder

    init() throws { folder = try TemporaryFolder() }

    private func entry(_ path: String) -> LedgerEntry {
        LedgerEntry(job: "id", path: FilePath(path), isPlanted: false, at: 1)
    }

    @Test(arguments: [
        "/plain", "/new\nline", "/caf\u{E9}", "/cafe\u{301}", "/quote\"and\\", "/\u{2028}", "/🐇",
    ]
    )
    func `Any path comes back as it was, byte for byte`(path: String) throws {
        let file = "\(folder.path)/ledger"
        try LineFile(path: file).append(entry(path))
        let data = try Data(contentsOf: URL(fileURLWithPath: file))
        #expect(data.count { $0 == UInt8(ascii: "\n") } == 1)
        #expect(try JSONLines.read(LedgerEntry.self, path: file).map(\.path.bytes) == [Array(path.utf8)])
    }

    @Test func `A piece of a line, as a killed process leaves it, does no harm to the lines around it`() throws {
        let file = "\(folder.path)/results"
        try (JSONLines.line(entry("/one")) + Data(#"{"job":"id","pa"#.utf8)).write(to: URL(fileURLWithPath: file))
        try LineFile(path: file).append(entry("/two"))
        let data = try Data(contentsOf: URL(fileURLWithPath: file))
        #expect(JSONLines.readable(LedgerEntry.self, from: data).map(\.path.description) == ["/one", "/two"])
    }

    @Test func `A line that isn't finished is not read yet`() throws {
        let data = try JSONLines.line(entry("/one")) + JSONLines.line(entry("/two")).dropLast()
        #expect(JSONLines.readable(LedgerEntry.self, from: data).map(\.path.description) == ["/one"])
    }

    @Test func `Results are read as they grow, each line once`() throws {
        let file = try LineFile(path: "\(folder.path)/w.jsonl")
        var results = ResultsFolder(folder.path)
        func append(_ job: String, _ digest: String?) throws {
            try file.append(
                DigestResult(
                    path: FilePath("/x"),
                    digest: digest,
                    job: job,
                    worker: "w",
                    attempt: 1,
                    redelivered: false,
                    at: 1
                )
            )
        }
        try append("a", "d")
        try results.readMore()
        try append("b", nil)
        try append("a", "d")
        try results.readMore()
        try results.readMore()
        #expect(results.results.count == 3)
        #expect(results.jobs == ["a"])
    }
}
