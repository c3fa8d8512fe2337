import Testing

@testable import Warren

@Suite struct ExcerptTests {
    @Test("A text within the limit stays as it is")
    func short() {
        #expect(excerpt("héllo", 6) == "héllo")
        #expect(excerpt("", 0) == "")
    }

    @Test("A longer text is cut between characters, at every limit")
    func cut() {
        let text = String(repeating: "aé€😀", count: 20)
        for limit in 3..<text.utf8.count {
            let cut = excerpt(text, limit)
            #expect(cut.utf8.count <= limit)
            #expect(cut.utf8.count > limit - 4)
            #expect(cut.hasSuffix("…"))
            #expect(text.unicodeScalars.starts(with: cut.unicodeScalars.dropLast()))
        }
    }
}
