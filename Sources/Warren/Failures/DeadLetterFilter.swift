#if canImport(FoundationEssentials)
public import FoundationEssentials
#else
public import Foundation
#endif

/// Which dead letters are meant: those to which all that is set applies.
///
/// Without anything set, all.
public struct DeadLetterFilter: Sendable, Hashable {
    /// Those with this id.
    public var id: String?
    /// Those of this job.
    public var name: String?
    /// Those with this reason.
    public var reason: DeadReason?
    /// Those that died at this time or earlier.
    public var diedBefore: Date?
    /// Those that died at this time or later.
    public var diedSince: Date?
    /// Those whose job name, error type, message or details hold this text, whatever its case.
    public var text: String?

    /// A filter.
    public init(
        id: String? = nil,
        name: String? = nil,
        reason: DeadReason? = nil,
        diedBefore: Date? = nil,
        diedSince: Date? = nil,
        text: String? = nil
    ) {
        self.id = id
        self.name = name
        self.reason = reason
        self.diedBefore = diedBefore
        self.diedSince = diedSince
        self.text = text
    }

    /// Whether a dead letter is meant.
    ///
    /// One that doesn't say when it died is of no age.
    public func matches(_ letter: DeadLetter) -> Bool {
        let record = letter.record
        if let id, letter.id != id { return false }
        if let name, letter.name != name { return false }
        if let reason, record.reason != reason { return false }
        if let diedBefore, !(record.deadAt.map { $0 <= diedBefore } ?? false) { return false }
        if let diedSince, !(record.deadAt.map { $0 >= diedSince } ?? false) { return false }
        if let text {
            let wanted = text.lowercased()
            return [letter.name, record.errorType, record.message, record.details].contains {
                $0?.lowercased().contains(wanted) ?? false
            }
        }
        return true
    }
}
