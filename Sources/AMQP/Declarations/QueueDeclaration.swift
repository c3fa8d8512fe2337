/// What a queue should be.
public struct QueueDeclaration: Sendable, Hashable {
    /// The queue's name, at most 255 bytes; with the empty one, the broker makes a name up.
    public var name: String
    /// Whether the queue survives a restart of the broker.
    public var isDurable: Bool
    /// Whether only this connection may use the queue, which goes when the connection goes.
    public var isExclusive: Bool
    /// Whether the broker deletes the queue when its last consumer goes.
    public var isAutoDelete: Bool
    /// The queue's type and limits.
    public var arguments: QueueArguments

    /// Declares a queue; without further words it is durable and stays.
    public init(
        _ name: String,
        isDurable: Bool = true,
        isExclusive: Bool = false,
        isAutoDelete: Bool = false,
        arguments: QueueArguments = QueueArguments()
    ) {
        self.name = name
        self.isDurable = isDurable
        self.isExclusive = isExclusive
        self.isAutoDelete = isAutoDelete
        self.arguments = arguments
    }
}
