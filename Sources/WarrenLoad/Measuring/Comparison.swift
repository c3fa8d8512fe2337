import Foundation

/// Implementations that are measured in turns, and whose figures are shown together.
struct Comparison {
    /// One implementation's work.
    struct Entry {
        let implementation: Implementation
        let work: Work

        static func c(_ work: Work) -> Entry { Entry(implementation: .c, work: work) }
        static func warren(_ work: Work) -> Entry { Entry(implementation: .warren, work: work) }
    }

    let entries: [Entry]

    init(_ entries: Entry...) { self.entries = entries }

    /// Returns whether one of the entries does one of these works; true for all if none is named.
    func isSelected(by works: [Work]) -> Bool {
        works.isEmpty || entries.contains { works.contains($0.work) }
    }
}

/// Runs comparisons as often as requested, the entries in turns, and prints the medians.
struct ComparisonSeries {
    private let options: LoadOptions
    private let programs: Programs

    init(_ options: LoadOptions) throws {
        self.options = options
        programs = try Programs()
    }

    func run(_ comparisons: [Comparison]) throws {
        Self.warnOfNoise()
        var table = FigureTable()
        for comparison in comparisons where comparison.isSelected(by: options.only) {
            let results = try measure(comparison)
            if options.json {
                for result in results { print(try result.line) }
            } else {
                table.add(results)
            }
        }
        if !options.json { print(table.text) }
    }

    /// The medians of the entries' figures, in the entries' order.
    private func measure(_ comparison: Comparison) throws -> [Figure] {
        var all = comparison.entries.map { _ in [Figure]() }
        for repetition in 1...options.repetitions {
            for (index, entry) in comparison.entries.enumerated() {
                Console.showStatus(
                    "\(entry.work.rawValue) by \(entry.implementation.rawValue), \(repetition) of \(options.repetitions)"
                )
                all[index].append(
                    try programs.run(entry, url: options.url, count: entry.work.count(of: options.count))
                )
            }
        }
        Console.clearStatus()
        return try all.map { try Figure(medianOf: $0) }
    }

    /// Warns if the build or the machine's environment makes the figures unreliable.
    private static func warnOfNoise() {
        #if DEBUG
        Console.warn("built without optimization; build with -c release for meaningful figures.")
        #endif
        guard let load = loadAverage, load > 0.5 else { return }
        Console.warn("other programs are using the machine (load \(load)), so the figures will be noisy.")
    }

    /// The average number of running programs in the last minute, where the system reports it.
    private static var loadAverage: Double? {
        guard let text = try? String(contentsOfFile: "/proc/loadavg", encoding: .utf8) else { return nil }
        return text.split(separator: " ").first.flatMap { Double($0) }
    }
}
