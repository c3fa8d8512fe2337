import Foundation

/// The figures of one measurement: one kind of work by one implementation.
struct Figure: Codable {
    var work: Work
    var implementation = Implementation.warren
    var queue = "quorum"
    var count: Int
    /// Messages or jobs per second.
    var rate: Double?
    /// User and system time of the measuring process per message or job, in microseconds.
    var cpu: Double?
    /// The median latency in milliseconds.
    var p50: Double?
    /// The latency in milliseconds that one in a hundred exceeds.
    var p99: Double?
    /// The total time, where that is the figure.
    var seconds: Double?
    /// The noise: the difference between the best and the worst repetition, as a share of the median.
    var spread: Double?

    enum CodingKeys: String, CodingKey {
        case work, queue, count, rate, seconds, spread
        case implementation = "who"
        case cpu = "cpu_us"
        case p50 = "p50_ms"
        case p99 = "p99_ms"
    }

    /// The measurement as a line of JSON.
    var line: String {
        get throws {
            let encoder = JSONEncoder()
            encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
            return String(decoding: try encoder.encode(self), as: UTF8.self)
        }
    }

    /// The figures of a run from `start` to `end`.
    init(_ work: Work, count: Int, from start: Stopwatch, to end: Stopwatch) {
        self.work = work
        self.count = count
        rate = Self.rounded(Double(count) / ((end.wall - start.wall) / .seconds(1)), to: 0.1)
        cpu = Self.rounded((end.cpu - start.cpu) / .microseconds(1) / Double(count), to: 0.001)
    }

    /// The figures of single messages or jobs.
    init(_ work: Work, count: Int, latenciesInMilliseconds latencies: [Double]) {
        self.work = work
        self.count = count
        let sorted = latencies.sorted()
        p50 = Self.percentile(0.5, of: sorted).map { Self.rounded($0, to: 0.001) }
        p99 = Self.percentile(0.99, of: sorted).map { Self.rounded($0, to: 0.001) }
    }

    /// The figure of something that took `seconds` in all.
    init(_ work: Work, count: Int, seconds: Double) {
        self.work = work
        self.count = count
        self.seconds = Self.rounded(seconds, to: 0.001)
    }

    /// Rounds to a meaningful number of digits.
    private static func rounded(_ number: Double, to step: Double) -> Double {
        (number / step).rounded() / (1 / step)
    }

    /// The number at or below which a share of the sorted numbers is.
    static func percentile(_ share: Double, of sorted: [Double]) -> Double? {
        sorted.isEmpty ? nil : sorted[max(0, Int((share * Double(sorted.count)).rounded(.up)) - 1)]
    }
}

/// The implementation that did the work.
enum Implementation: String, Codable {
    case c
    case warren
}

extension Figure {
    /// The median of each figure over the repetitions.
    init(medianOf repetitions: [Figure]) throws {
        guard var median = repetitions.first else { throw LoadError("Nothing was measured.") }
        for figure in Self.figures {
            median[keyPath: figure] = Self.median(repetitions.compactMap { $0[keyPath: figure] })
        }
        self = median
        spread = Self.spread(repetitions.compactMap { $0.rate ?? $0.p50 ?? $0.seconds })
    }

    private static let figures: [any WritableKeyPath<Figure, Double?> & Sendable] = [
        \.rate, \.cpu, \.p50, \.p99, \.seconds,
    ]

    /// The difference between the largest and the smallest number, as a share of the median; `nil` for fewer than two.
    static func spread(_ numbers: [Double]) -> Double? {
        guard numbers.count > 1, let median = median(numbers), median > 0 else { return nil }
        return rounded(((numbers.max() ?? 0) - (numbers.min() ?? 0)) / median, to: 0.001)
    }

    /// The middle number, or the mean of the middle two.
    static func median(_ numbers: [Double]) -> Double? {
        guard !numbers.isEmpty else { return nil }
        let sorted = numbers.sorted()
        return (sorted[(sorted.count - 1) / 2] + sorted[sorted.count / 2]) / 2
    }
}

/// An instant: the wall clock's time, and the processor time that this process has used so far in all its threads.
struct Stopwatch {
    let wall = ContinuousClock.now
    let cpu = Duration.microseconds(Int64(clock()) * 1_000_000 / Int64(CLOCKS_PER_SEC))
}
