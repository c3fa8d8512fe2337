import Foundation

/// The table for people: a comparison's figures one below another, and their ratio.
struct FigureTable {
    /// A column of figures, shown if any measurement has a figure for it.
    private struct Column: Sendable {
        let title: String
        let digits: Int
        var isComparable = true
        let figure: @Sendable (Figure) -> Double?
    }

    private static let columns = [
        Column(title: "rate/s", digits: 0) { $0.work == .latency ? nil : $0.rate },
        Column(title: "CPU µs", digits: 2, figure: \.cpu),
        Column(title: "p50 ms", digits: 2, figure: \.p50),
        Column(title: "p99 ms", digits: 2, figure: \.p99),
        Column(title: "seconds", digits: 3, figure: \.seconds),
        Column(title: "noise %", digits: 0, isComparable: false) { $0.spread.map { $0 * 100 } },
    ]

    private var comparisons: [[Figure]] = []

    mutating func add(_ results: [Figure]) { comparisons.append(results) }

    /// The rows with aligned columns, numbers to the right.
    var text: String {
        let columns = Self.columns.filter { column in comparisons.joined().contains { column.figure($0) != nil } }
        let rows = [["work", "who"] + columns.map(\.title)] + comparisons.flatMap { Self.rows($0, columns) }
        let widths = rows[0].indices.map { column in rows.map { $0[column].count }.max() ?? 0 }
        return rows.map { row in
            row.enumerated().map { column, cell in
                let padding = String(repeating: " ", count: widths[column] - cell.count)
                return column < 2 ? cell + padding : padding + cell
            }
            .joined(separator: "  ")
        }
        .joined(separator: "\n")
    }

    private static func rows(_ results: [Figure], _ columns: [Column]) -> [[String]] {
        let figures = results.map { result in
            [result.work.rawValue, result.implementation.rawValue]
                + columns.map { number($0.figure(result), $0.digits) }
        }
        let yardsticks = results.filter { $0.implementation == .c }
        let ratios = results.filter { $0.implementation == .warren }.flatMap { warren in
            yardsticks.map { c in
                let title = warren.work == c.work ? "ratio" : "ratio to \(c.work.rawValue)"
                return [warren.work.rawValue, title]
                    + columns.map { $0.isComparable ? ratio($0.figure(warren), $0.figure(c)) : "" }
            }
        }
        return figures + ratios
    }

    private static func ratio(_ one: Double?, _ other: Double?) -> String {
        guard let one, let other, other > 0 else { return "" }
        return number(one / other, 2)
    }

    private static func number(_ number: Double?, _ digits: Int) -> String {
        number.map { $0.formatted(.number.precision(.fractionLength(digits)).locale(Locale(identifier: "en_US"))) }
            ?? ""
    }
}
