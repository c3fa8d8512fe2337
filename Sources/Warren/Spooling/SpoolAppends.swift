/// The entries that wait for the disk, and the callers that wait for them.
///
/// All entries that arrive while the disk is busy are written together, with one `fsync`.
struct SpoolAppends {
    typealias Continuation = CheckedContinuation<Answer, Never>

    /// The answer to a caller.
    enum Answer: Sendable {
        /// The write finished: the entry is on the disk, or the error says why it isn't.
        case done(Result<Void, any Error>)
        /// The caller was cancelled before the entry was written.
        case withdrawn
        /// The caller was cancelled while the entry was written.
        case unknown
    }

    private var nextID: UInt64 = 0
    private var queued: [(id: UInt64, payload: [UInt8])] = []
    private var callers: [UInt64: Continuation] = [:]
    private var cancelled: Set<UInt64> = []
    /// The number of bytes by which the file would grow.
    private(set) var bytes = 0
    /// True if entries are being written.
    private(set) var isWriting = false

    /// True if no entry waits or is being written.
    var isEmpty: Bool { queued.isEmpty && !isWriting }

    mutating func newID() -> UInt64 {
        nextID += 1
        return nextID
    }

    /// Adds an entry; returns false if its caller was cancelled already.
    mutating func add(_ id: UInt64, _ payload: [UInt8], _ caller: Continuation) -> Bool {
        if cancelled.remove(id) != nil { return false }
        queued.append((id, payload))
        callers[id] = caller
        bytes += payload.count + SpoolFormat.recordHeaderLength
        return true
    }

    /// The next entries to write.
    mutating func begin() -> [(id: UInt64, payload: [UInt8])] {
        defer { queued = [] }
        isWriting = !queued.isEmpty
        bytes = 0
        return queued
    }

    /// Ends the write of the entries of ``begin()``, and returns the callers that still wait.
    mutating func end(_ ids: [UInt64]) -> [Continuation?] {
        isWriting = false
        return ids.map { callers.removeValue(forKey: $0) }
    }

    /// Cancels a caller, and returns it with its answer if it waits.
    mutating func cancel(_ id: UInt64) -> (caller: Continuation, answer: Answer)? {
        guard let caller = callers.removeValue(forKey: id) else {
            // Before ``add(_:_:_:)`` or after the end; the latter is very rare and costs eight bytes.
            cancelled.insert(id)
            return nil
        }
        guard let place = queued.firstIndex(where: { $0.id == id }) else { return (caller, .unknown) }
        bytes -= queued[place].payload.count + SpoolFormat.recordHeaderLength
        queued.remove(at: place)
        return (caller, .withdrawn)
    }
}
