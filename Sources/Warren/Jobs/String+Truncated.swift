extension String {
    /// The beginning of the text: at most `limit` bytes of UTF-8, cut between characters.
    ///
    /// A text that is cut ends with an ellipsis (three of the bytes).
    func truncated(toBytes limit: Int) -> String {
        guard utf8.count > limit else { return self }
        var end = utf8.index(utf8.startIndex, offsetBy: max(0, limit - 3))
        while end > utf8.startIndex, utf8[end] & 0xC0 == 0x80 { end = utf8.index(before: end) }
        return self[..<end] + "…"
    }
}
