import AMQP

/// The pattern of a binding to a topic exchange: words separated by dots; `*` matches one word, `#` any number of
/// words.
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

    /// The words of a routing key; an empty key has none.
    static func words(of key: String) -> [Substring] {
        key.isEmpty ? [] : key.split(separator: ".", omittingEmptySubsequences: false)
    }

    /// Returns whether a pattern has no wildcards.
    static func isPlain(_ pattern: String) -> Bool {
        !pattern.utf8.contains { $0 == UInt8(ascii: "*") || $0 == UInt8(ascii: "#") }
    }

    /// Returns whether a routing key with these words matches.
    ///
    /// Backtracks only to the last `#`: the match of earlier ones can stay.
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

/// The headers that a binding to a headers exchange requires of a message.
struct HeadersPattern: Sendable {
    /// The values of `x-match`.
    enum Mode: String, Sendable {
        case all
        case any
        /// Like `all`, but including names that begin with `x-`.
        case allWithX = "all-with-x"
        /// Like `any`, but including names that begin with `x-`.
        case anyWithX = "any-with-x"
    }

    private let demandsAll: Bool
    private let wanted: [(name: String, value: FieldValue)]

    init(_ arguments: FieldTable) {
        let mode = arguments["x-match"]?.stringValue.flatMap(Mode.init) ?? .all
        let countsX = mode == .allWithX || mode == .anyWithX
        demandsAll = mode == .all || mode == .allWithX
        wanted = arguments.filter { $0.name != "x-match" && (countsX || !$0.name.hasPrefix("x-")) }
    }

    func matches(_ headers: FieldTable?) -> Bool {
        let isMet = { (name: String, value: FieldValue) in
            guard let present = headers?[name] else { return false }
            // A void value only requires the header to be present.
            return value == .void || present.isEquivalent(to: value)
        }
        return demandsAll ? wanted.allSatisfy(isMet) : wanted.contains(where: isMet)
    }
}

extension Binding {
    /// Throws if the pattern has more `#` wildcards than a topic exchange allows.
    func checkPattern(_ features: BrokerFeatures) throws(BrokerRefusal) {
        guard let most = features.maximumHashesInPattern else { return }
        let count = routingKey.split(separator: ".").count { $0 == "#" }
        if count > most {
            throw .precondition(
                "Topic binding key '\(routingKey)' uses \(count) '#' wildcards, at most \(most) are allowed"
            )
        }
    }

    /// Throws if the binding's `x-match` is invalid for a headers exchange.
    func checkHeadersMatch(_ features: BrokerFeatures) throws(BrokerRefusal) {
        guard let mode = arguments["x-match"] else { return }
        guard let text = mode.stringValue else {
            throw .precondition(
                "Invalid x-match field type \(mode.typeName) (value \(mode.brokerText)); expected longstr"
            )
        }
        if HeadersPattern.Mode(rawValue: text) == nil {
            throw .precondition(
                "Invalid x-match field value <<\"\(text)\">>; expected all, any, all-with-x, or any-with-x"
            )
        }
    }
}
