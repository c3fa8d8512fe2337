#if canImport(FoundationEssentials)
public import FoundationEssentials
#else
public import Foundation
#endif

/// One failure in a job's history.
public struct FailedAttempt: Sendable, Hashable {
    /// Which attempt failed, from 1.
    public var attempt: Int
    /// When.
    public var time: Date?
    /// On which worker.
    public var worker: String?
    /// The type of the error.
    public var errorType: String?
    /// What the error says; at most 500 bytes of it are kept.
    public var message: String?

    /// A failure.
    public init(attempt: Int, time: Date?, worker: String?, errorType: String?, message: String?) {
        self.attempt = attempt
        self.time = time
        self.worker = worker
        self.errorType = errorType
        self.message = message
    }
}
