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

/// What else could make figures wrong.
enum Surroundings {
    /// Says on standard error what speaks against the figures that follow.
    static func warn() {
        #if DEBUG
        say("built without optimisation: use -c release for figures that mean something.")
        #endif
        guard let load = loadAverage, load > 0.5 else { return }
        say("other programs use the machine (load \(load)): the figures will be noisy.")
    }

    /// The mean number of running programs in the last minute, where the system tells.
    private static var loadAverage: Double? {
        guard let text = try? String(contentsOfFile: "/proc/loadavg", encoding: .utf8) else { return nil }
        return text.split(separator: " ").first.flatMap { Double($0) }
    }

    static func say(_ text: String) {
        FileHandle.standardError.write(Data("warren-load: \(text)\n".utf8))
    }
}
