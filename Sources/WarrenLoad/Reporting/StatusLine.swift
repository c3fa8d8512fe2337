import Foundation

/// One line on a terminal that says what is going on; nothing where standard error isn't one.
enum StatusLine {
    private static let isShown = isatty(STDERR_FILENO) == 1

    static func show(_ text: String) {
        guard isShown else { return }
        FileHandle.standardError.write(Data("\r\u{1B}[K\(text)…".utf8))
    }

    static func clear() {
        guard isShown else { return }
        FileHandle.standardError.write(Data("\r\u{1B}[K".utf8))
    }
}
