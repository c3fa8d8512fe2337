/// The beginning of a text: at most `limit` bytes of UTF-8, never cut inside a character's bytes, with an ellipsis (three of the
/// bytes) if something is missing.
func excerpt(_ text: String, _ limit: Int) -> String {
    let bytes = text.utf8
    guard bytes.count > limit else { return text }
    var end = bytes.index(bytes.startIndex, offsetBy: max(0, limit - 3))
    while end > bytes.startIndex, bytes[end] & 0xC0 == 0x80 { end = bytes.index(before: end) }
    return text[..<end] + "…"
}
