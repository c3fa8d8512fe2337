/// The pattern of a binding to a topic exchange: words with dots between; `*` is any one word, `#` any number of words.
struct TopicPattern: Sendable {
    private enum Word: Sendable {
        case exactly(Substring)
        case any
        case anyNumber
    }

    private let words: [Word]

    init(_ pattern: String) {
        words = Self.words(of: pattern).map { word in
            switch word {
            case "*": .any
            case "#": .anyNumber
            default: .exactly(word)
            }
        }
    }

    /// The words of a routing key; the empty key has none.
    static func words(of key: String) -> [Substring] {
        key.isEmpty ? [] : key.split(separator: ".", omittingEmptySubsequences: false)
    }

    /// Whether a pattern is just a key.
    static func isPlain(_ pattern: String) -> Bool {
        !pattern.utf8.contains { $0 == UInt8(ascii: "*") || $0 == UInt8(ascii: "#") }
    }

    /// Whether a routing key of these words matches.
    ///
    /// Goes back to the last `#` only: what earlier ones took can stay.
    func matches(_ key: [Substring]) -> Bool {
        var word = 0
        var place = 0
        var retry: (word: Int, place: Int)?
        while place < key.count {
            if word < words.count {
                switch words[word] {
                case .anyNumber:
                    word += 1
                    retry = (word, place)
                    continue
                case .any:
                    word += 1
                    place += 1
                    continue
                case .exactly(let text) where text == key[place]:
                    word += 1
                    place += 1
                    continue
                case .exactly: break
                }
            }
            guard let last = retry else { return false }
            retry = (last.word, last.place + 1)
            word = last.word
            place = last.place + 1
        }
        return words[word...].allSatisfy { if case .anyNumber = $0 { true } else { false } }
    }
}
