import Foundation

/// The printed result of one fault.
struct FaultReport: Sendable {
    var fault: String
    /// The sums of the ledger; `nil` if the experiment could not be run.
    var balance: Ledger.Balance?
    /// Seconds from the end of the fault to the first job done after it; the longest if there were several.
    var recovered: Double?
    /// Figures specific to the fault, in the order in which they are printed, named as in the JSON with their units.
    var figures: [(name: String, value: Double)] = []
    /// Notes that help to interpret the figures.
    var notes: [String] = []
    /// The requirements that were not met.
    var broken: [String] = []

    /// True if all requirements were met.
    var holds: Bool { broken.isEmpty && balance != nil }

    /// One line of JSON, with its keys in a fixed order.
    var line: String {
        get throws {
            var fields: [(String, String)] = [("fault", try Self.json(fault))]
            let balance = self.balance
            let sums: [(String, Int?)] = [
                ("enqueued", balance?.enqueued), ("completed", balance?.completed), ("dead", balance?.dead),
                ("lost", balance?.lost), ("duplicated", balance?.duplicated),
            ]
            fields += sums.map { ($0, $1.map(String.init) ?? "null") }
            fields.append(("recovered_s", recovered.map(Self.number) ?? "null"))
            let others: [(String, Int?)] = [
                ("queued", balance?.queued), ("discarded", balance?.discarded), ("doubtful", balance?.doubtful),
                ("doubtful_completed", balance?.doubtfulCompleted),
            ]
            fields += others.compactMap { name, count in count.flatMap { $0 > 0 ? (name, String($0)) : nil } }
            fields += figures.map { ($0.name, Self.number($0.value)) }
            if !notes.isEmpty { fields.append(("note", try Self.json(notes.joined(separator: "; ")))) }
            if !broken.isEmpty { fields.append(("broken", try Self.json(broken))) }
            return "{" + fields.map { "\"\($0)\":\($1)" }.joined(separator: ",") + "}"
        }
    }

    private static func json(_ value: some Encodable) throws -> String {
        let encoder = JSONEncoder()
        encoder.outputFormatting = .withoutEscapingSlashes
        return String(decoding: try encoder.encode(value), as: UTF8.self)
    }

    /// A number rounded to a meaningful number of digits.
    static func number(_ number: Double) -> String {
        let rounded = (number * 1000).rounded() / 1000
        return rounded == rounded.rounded() && abs(rounded) < 1e15 ? String(Int(rounded)) : String(rounded)
    }
}

/// The reports as a table, for a terminal or in Markdown.
struct FaultTable {
    private let rows: [[String]]

    init(_ reports: [FaultReport], summaries: [String: String]) {
        let headings = ["fault", "enqueued", "completed", "dead", "lost", "duplicated", "recovered", "and"]
        rows = [headings] + reports.map { Self.row($0, summaries[$0.fault] ?? $0.fault) }
    }

    /// The rows with aligned columns, numbers to the right.
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

    /// The table in GitHub's Markdown.
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
        let counts = sums.map { $0.map(String.init) ?? "–" }
        let recovered = report.recovered.map { FaultReport.number($0) + " s" } ?? "–"
        return [summary] + counts + [recovered, remarks.joined(separator: "; ")]
    }
}
