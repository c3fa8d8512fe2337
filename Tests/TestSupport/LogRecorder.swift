package import Logging
import Synchronization

/// Keeps all lines that are logged, with their metadata, as text.
package final class LogRecorder: Sendable {
    private let recorded = Mutex<[(level: Logger.Level, text: String)]>([])

    package init() {}

    /// A logger of all levels whose lines are kept here.
    package var logger: Logger { Logger(label: "tests") { _ in Handler(recorder: self) } }

    /// All lines so far.
    package var lines: [String] { recorded.withLock { $0.map(\.text) } }
    /// The warnings and errors so far.
    package var warnings: [String] { recorded.withLock { $0.filter { $0.level >= .warning }.map(\.text) } }

    private struct Handler: LogHandler {
        let recorder: LogRecorder
        var logLevel = Logger.Level.trace
        var metadata = Logger.Metadata()

        init(recorder: LogRecorder) { self.recorder = recorder }

        subscript(metadataKey key: String) -> Logger.Metadata.Value? {
            get { metadata[key] }
            set { metadata[key] = newValue }
        }

        func log(event: LogEvent) {
            let all = metadata.merging(event.metadata ?? [:]) { $1 }
            let pairs = all.map { "\($0)=\($1)" }.sorted().joined(separator: " ")
            recorder.recorded.withLock { $0.append((event.level, "\(event.message) \(pairs)")) }
        }
    }
}
