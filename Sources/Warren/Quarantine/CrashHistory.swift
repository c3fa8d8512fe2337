#if canImport(FoundationEssentials)
public import FoundationEssentials
#else
public import Foundation
#endif

/// The reason why a job that was quarantined is dead: it was started from quarantine several times, and each time its
/// worker was gone before the job had ended.
///
/// This is counted from the workers' records of their starts, not guessed from delivery counts, which also grow when a
/// worker stops or loses its connection.
public struct CrashHistory: Error, Sendable, Hashable, CustomStringConvertible {
    /// A start without an end.
    public struct Crash: Sendable, Hashable {
        /// The name of the worker that the job took down.
        public var worker: String
        /// The time at which the job was started there.
        public var startedAt: Date

        /// A start on a worker.
        public init(worker: String, startedAt: Date) {
            self.worker = worker
            self.startedAt = startedAt
        }
    }

    /// The error type that failure records use for a crash.
    public static let errorType = "crash"

    /// The starts, oldest first.
    public var crashes: [Crash]

    /// A history of these starts.
    public init(crashes: [Crash]) {
        self.crashes = crashes.sorted { $0.startedAt < $1.startedAt }
    }

    /// The workers that the job took down, with times, for the failure record.
    public var description: String {
        let places = crashes.map { "\($0.worker) (started \(WireTime.text($0.startedAt)))" }.joined(separator: ", ")
        return """
            The job was started from quarantine \(crashes.count) times, and each time its worker was gone before the job had \
            ended: \(places).
            """
    }
}
