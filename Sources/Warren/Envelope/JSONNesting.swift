/// How deeply JSON is nested, found without recursion and before a decoder sees it.
enum JSONNesting {
    /// What a scan of JSON shows.
    enum Finding: Equatable {
        case fits
        case tooDeep
        /// A quote or comment of JSON5, in which brackets could hide, or a string without an end.
        case notJSON
    }

    /// Looks for more than `limit` levels of arrays and objects.
    static func scan(_ body: [UInt8], limit: Int) -> Finding {
        var depth = 0
        var isInString = false
        var isEscaped = false
        for byte in body {
            if isInString {
                if isEscaped {
                    isEscaped = false
                } else if byte == UInt8(ascii: "\\") {
                    isEscaped = true
                } else if byte == UInt8(ascii: "\"") {
                    isInString = false
                }
                continue
            }
            switch byte {
            case UInt8(ascii: "\""): isInString = true
            case UInt8(ascii: "["), UInt8(ascii: "{"):
                depth += 1
                if depth > limit { return .tooDeep }
            case UInt8(ascii: "]"), UInt8(ascii: "}"): depth -= 1
            case UInt8(ascii: "'"), UInt8(ascii: "/"): return .notJSON
            default: break
            }
        }
        return isInString ? .notJSON : .fits
    }
}
