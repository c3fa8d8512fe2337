import Testing

@testable import Warren

@Suite struct TruncatedTests {
    @Test func `A text within the limit stays as it is`() {
        #expect("héllo".truncated(toBytes: 6) == "héllo")
        #expect("".truncated(toBytes: 0) == "")
    }

    @Test func `A longer text is cut between characters, at every limit`() {
        let text = String(repeating: "aé€😀", count: 20)
        for limit in 3..<text.utf8.count {
            let cut = text.truncated(toBytes: limit)
            #expect(cut.utf8.count <= limit)
            #expect(cut.utf8.count > limit - 4)
            #expect(cut.hasSuffix("…"))
            #expect(text.unicodeScalars.starts(with: cut.unicodeScalars.dropLast()))
        }
    }
}
