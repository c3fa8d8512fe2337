import Foundation

/// Runs contests as often as asked, in turns, and prints the medians.
struct Series {
    private let options: LoadOptions
    private let programs: Programs

    init(_ options: LoadOptions) throws {
        self.options = options
        programs = try Programs()
    }

    func run(_ contests: [Contest]) throws {
        Surroundings.warn()
        var report = Report()
        for contest in contests where contest.isChosen(by: options.only) {
            let results = try measure(contest)
            if options.json {
                for result in results { print(try result.line) }
            } else {
                report.add(results)
            }
        }
        if !options.json { print(report.text) }
    }

    /// The medians of the contestants' measurements, in their order.
    private func measure(_ contest: Contest) throws -> [Figure] {
        var all = contest.entries.map { _ in [Figure]() }
        for repetition in 1...options.repetitions {
            for (index, entry) in contest.entries.enumerated() {
                StatusLine.show(
                    "\(entry.work.rawValue) by \(entry.who.rawValue), \(repetition) of \(options.repetitions)"
                )
                all[index].append(
                    try programs.run(entry, url: options.url, count: entry.work.count(of: options.count))
                )
            }
        }
        StatusLine.clear()
        return try all.map { try Figure(medianOf: $0) }
    }
}

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
