/// Where an entry stands in the spool's file.
struct SpoolPlace: Sendable, Hashable {
    let sequence: UInt64
    /// Where its record begins.
    var offset: Int
    /// How long the record is.
    let length: Int
    /// Whether the broker has it, though an earlier one may still wait.
    var isSettled = false

    var end: Int { offset + length }
}
