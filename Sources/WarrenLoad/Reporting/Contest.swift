/// Contestants that take turns, and whose figures are shown beside each other.
struct Contest {
    /// One contestant's work.
    struct Entry {
        let who: Contestant
        let work: Work

        static func c(_ work: Work) -> Entry { Entry(who: .c, work: work) }
        static func warren(_ work: Work) -> Entry { Entry(who: .warren, work: work) }
    }

    let entries: [Entry]

    init(_ entries: Entry...) { self.entries = entries }

    /// Whether one of the contestants does a work that was asked for; nothing asked for means all.
    func isChosen(by works: [Work]) -> Bool {
        works.isEmpty || entries.contains { works.contains($0.work) }
    }
}
