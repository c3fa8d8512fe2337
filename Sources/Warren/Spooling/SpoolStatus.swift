/// What is in a ``Spool``, and what became of what was.
public struct SpoolStatus: Sendable, Hashable, Codable {
    /// How many jobs wait in the file for the broker.
    public var waiting: Int
    /// How many bytes of the file are in use.
    public var bytes: Int
    /// How many bytes it may have.
    public var limit: Int
    /// How many jobs this process put in.
    public var spooled: Int
    /// How many jobs this process sent from the file to the broker.
    public var replayed: Int
    /// How many jobs this process moved to the file of the rejected.
    public var rejected: Int
}
