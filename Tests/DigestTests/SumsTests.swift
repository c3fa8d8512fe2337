import Foundation
import Testing

@testable import Digest

struct SumsTests {
    private static let digest = String(repeating: "0123456789abcdef", count: 4)

    private func path(_ line: String) throws -> [String] {
        try Sums(reading: Data("\(line)\n".utf8)).digests.keys.map(\.description)
    }

    @Test func `A line has a digest, two characters between, and a path`() throws {
        let sums = try Sums(reading: Data("\(Self.digest)  /a b/c\n\(Self.digest) */d\n".utf8))
        #expect(sums.digests == [FilePath("/a b/c"): Self.digest, FilePath("/d"): Self.digest])
    }

    @Test func `A path with odd characters is escaped, and the line then begins with a backslash`() throws {
        #expect(try path(#"\\#(Self.digest)  /a\nb\\c\rd"#) == ["/a\nb\\c\rd"])
        #expect(try path(#"\#(Self.digest)  /a\nb"#) == [#"/a\nb"#])
    }

    @Test func `A path that isn't text is kept as bytes`() throws {
        let sums = try Sums(reading: Data("\(Self.digest)  /a".utf8) + [0xFF])
        #expect(sums.digests.keys.map(\.bytes) == [[0x2F, 0x61, 0xFF]])
        #expect(sums.digests.keys.allSatisfy { !$0.isText })
    }

    @Test(arguments: ["sha256sum: /x: denied", "0123", "0123  /short"])
    func `A line of another kind is an error`(line: String) {
        #expect(throws: Sums.Unreadable.self) { try path(line) }
    }
}
