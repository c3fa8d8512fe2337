/// A table for a terminal: a line of headings above rows of aligned cells.
struct TextTable {
    /// The alignment of a column's cells.
    enum Alignment {
        case left
        case right
    }

    private let headings: [String]
    private let alignments: [Alignment]
    private var rows: [[String]] = []

    /// Creates an empty table with the given columns.
    init(_ columns: [(heading: String, alignment: Alignment)]) {
        headings = columns.map(\.heading)
        alignments = columns.map(\.alignment)
    }

    /// Adds a row with one cell per column.
    mutating func add(_ cells: [String]) {
        precondition(cells.count == headings.count, "A row needs one cell per column.")
        rows.append(cells.map(Self.printable))
    }

    /// The lines of the table, without trailing spaces.
    var text: String {
        let lines = [headings] + rows
        let widths = headings.indices.map { column in lines.map { $0[column].count }.max() ?? 0 }
        return lines.map { line in
            let cells = line.indices.map { column in
                let padding = String(repeating: " ", count: widths[column] - line[column].count)
                return alignments[column] == .right ? padding + line[column] : line[column] + padding
            }
            let text = cells.joined(separator: "  ")
            return String(text[..<(text.lastIndex { $0 != " " }.map { text.index(after: $0) } ?? text.startIndex)])
        }.joined(separator: "\n")
    }

    /// Returns the text on one line, without control and formatting characters.
    ///
    /// A message from an untrusted sender must not be able to control the terminal.
    static func printable(_ text: String) -> String {
        var result = String.UnicodeScalarView()
        for scalar in text.unicodeScalars {
            switch scalar.properties.generalCategory {
            case .control, .lineSeparator, .paragraphSeparator: result.append(" ")
            case .format, .surrogate, .privateUse, .unassigned: continue
            default: result.append(scalar)
            }
        }
        return String(result)
    }
}
