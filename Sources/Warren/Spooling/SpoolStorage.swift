/// The disk as a spool sees it: one file that is written at its end, and what lies beside it.
///
/// Its calls block, and come from one thread at a time.
protocol SpoolStorage: Sendable {
    /// The whole file; empty if there is none yet.
    func load() throws -> [UInt8]
    /// Part of the file.
    func read(_ range: Range<Int>) throws -> [UInt8]
    /// Writes at an offset; after an error any part of it may be there.
    func write(_ bytes: [UInt8], at offset: Int) throws
    /// Returns when the disk has what was written.
    func synchronize() throws
    /// Cuts the file.
    func truncate(to length: Int) throws
    /// Puts a new file in the place of the old, so that after a crash there is one or the other.
    ///
    /// - Parameter aside: What to call the old one in future, instead of deleting it.
    func replace(with bytes: [UInt8], keepingOldAs aside: String?) throws
    /// Adds a line to the file of the rejected, and returns when the disk has it.
    ///
    /// - Throws: `noRoom` if it would be longer than `limit`.
    func appendRejected(_ line: [UInt8], limit: Int) throws
    /// Gives the file up for other processes.
    func close()
}

/// A file of the spool's has reached its limit.
struct SpoolRoomExceeded: Error, CustomStringConvertible {
    var description: String
}
