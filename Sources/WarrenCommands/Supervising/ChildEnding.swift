/// How a child process ended.
enum ChildEnding: Sendable, Equatable {
    case exited(Int32)
    /// A signal ended it: its number.
    case signalled(Int32)
    /// There was no process, for this reason.
    case notStarted(String)

    /// Whether it ended as one does that was told to.
    var isInOrder: Bool { self == .exited(0) || self == .exited(WorkerExit.recycled) }
}
