#if canImport(FoundationEssentials)
public import FoundationEssentials
#else
public import Foundation
#endif

/// Why a job is quarantined: it was started alone so many times, and each time its process ended before the job did.
///
/// The starts are kept at the broker while a suspected job runs, so this is counted, not guessed from delivery counts.
public struct CrashHistory: Error, Sendable, Hashable, CustomStringConvertible {
    /// A start that never ended.
    public struct Crash: Sendable, Hashable {
        /// The worker that it took down.
        public var worker: String
        /// When the job was started there.
        public var startedAt: Date

        /// A start on a worker.
        public init(worker: String, startedAt: Date) {
            self.worker = worker
            self.startedAt = startedAt
        }
    }

    /// The error type that failure records have for a crash.
    public static let errorType = "crash"

    /// The starts, the oldest first.
    public var crashes: [Crash]

    /// A loop of these starts.
    public init(crashes: [Crash]) {
        self.crashes = crashes.sorted { $0.startedAt < $1.startedAt }
    }

    /// Which workers the job took down and when, for the failure record.
    public var description: String {
        let places = crashes.map { "\($0.worker) (started \(WireTime.text($0.startedAt)))" }.joined(separator: ", ")
        return "The job ran alone \(crashes.count) times, and each time its process ended before it did: \(places)."
    }
}
