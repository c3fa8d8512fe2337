/// The reports as a table: for a terminal, or in Markdown for the README.
struct FaultTable {
    private let rows: [[String]]

    init(_ reports: [FaultReport], summaries: [String: String]) {
        let headings = ["fault", "enqueued", "completed", "dead", "lost", "duplicated", "recovered", "and"]
        rows = [headings] + reports.map { Self.row($0, summaries[$0.fault] ?? $0.fault) }
    }

    /// Columns side by side, numbers to the right.
    var text: String {
        let widths = columns.map { column in rows.map { $0[column].count }.max() ?? 0 }
        return rows.map { row in
            let cells = columns.map { column in
                let padding = String(repeating: " ", count: widths[column] - row[column].count)
                return Self.isNumber(column) ? padding + row[column] : row[column] + padding
            }
            let line = cells.joined(separator: "  ")
            return String(line.reversed().drop { $0 == " " }.reversed())
        }
        .joined(separator: "\n")
    }

    /// A table of GitHub's Markdown.
    var markdown: String {
        let lines = rows.map { "| \($0.joined(separator: " | ")) |" }
        let rule = "|" + columns.map { Self.isNumber($0) ? "---:|" : "---|" }.joined()
        return ([lines[0], rule] + lines.dropFirst()).joined(separator: "\n")
    }

    private var columns: Range<Int> { rows[0].indices }

    private static func isNumber(_ column: Int) -> Bool { 1...6 ~= column }

    private static func row(_ report: FaultReport, _ summary: String) -> [String] {
        let balance = report.balance
        let sums = [balance?.enqueued, balance?.completed, balance?.dead, balance?.lost, balance?.duplicated]
        let figures = report.figures.map { "\($0.name) \(FaultReport.number($0.value))" }
        let remarks = figures + report.notes + report.broken.map { "BROKEN: \($0)" }
        return [summary] + sums.map { $0.map(String.init) ?? "–" }
            + [report.recovered.map { FaultReport.number($0) + " s" } ?? "–", remarks.joined(separator: "; ")]
    }
}
