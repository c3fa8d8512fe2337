extension Figure {
    /// The repetitions' measurement with the median of each figure.
    init(medianOf repetitions: [Figure]) throws {
        guard var median = repetitions.first else { throw LoadError("Nothing was measured.") }
        for figure in Self.figures {
            median[keyPath: figure] = Self.median(repetitions.compactMap { $0[keyPath: figure] })
        }
        self = median
    }

    private static let figures: [any WritableKeyPath<Figure, Double?> & Sendable] = [
        \.rate, \.cpu, \.p50, \.p99, \.seconds,
    ]

    /// The middle one of the numbers, or the mean of the middle two.
    static func median(_ numbers: [Double]) -> Double? {
        guard !numbers.isEmpty else { return nil }
        let sorted = numbers.sorted()
        return (sorted[(sorted.count - 1) / 2] + sorted[sorted.count / 2]) / 2
    }
}
