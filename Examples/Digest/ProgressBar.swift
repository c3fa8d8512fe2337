import Foundation

/// A progress bar on standard error, shown only on a terminal.
struct ProgressBar {
    private static let width = 30
    private static let pause: Duration = .milliseconds(100)

    private let label: String
    private let total: Int
    private let isVisible: Bool
    private var lastDrawn: ContinuousClock.Instant?

    init(_ label: String, total: Int, isVisible: Bool = isatty(STDERR_FILENO) == 1) {
        self.label = label
        self.total = total
        self.isVisible = isVisible
    }

    /// Shows the progress; draws at most ten times a second.
    mutating func show(_ done: Int) {
        let now = ContinuousClock.now
        guard isVisible, lastDrawn.map({ now - $0 >= Self.pause }) ?? true else { return }
        lastDrawn = now
        write("\r\(text(done))")
    }

    /// Draws the last state and ends the line.
    func finish(_ done: Int) {
        if isVisible { write("\r\(text(done))\n") }
    }

    func text(_ done: Int) -> String {
        let share = total > 0 ? min(1, Double(done) / Double(total)) : 1
        let filled = Int(share * Double(Self.width))
        let bar = String(repeating: "█", count: filled) + String(repeating: "·", count: Self.width - filled)
        return "\(label) \(bar) \(done) of \(total)"
    }

    private func write(_ text: String) { FileHandle.standardError.write(Data(text.utf8)) }
}
