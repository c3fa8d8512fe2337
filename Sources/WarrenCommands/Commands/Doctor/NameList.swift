/// Names in a sentence: a few in full, of many the first ones and how many more.
enum NameList {
    static func text(_ names: [String]) -> String {
        let shown = names.prefix(5).map { "'\($0)'" }.joined(separator: ", ")
        return names.count > 5 ? "\(shown) and \(names.count - 5) more" : shown
    }
}
