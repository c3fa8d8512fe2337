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

    /// Declares a durable queue of a kind, with limits set in `configure`.
    ///
    /// ```swift
    /// QueueDeclaration("greetings", kind: .quorum) { $0.deliveryLimit = 5 }
    /// ```
    public init(_ name: String, kind: QueueKind, _ configure: (inout QueueArguments) -> Void = { _ in }) {
        self.init(name, arguments: QueueArguments(kind, configure))
    }
}

extension QueueDeclaration {
    /// Refuses what no supported broker takes, before it is sent.
    ///
    /// - Throws: `invalidArgument`: which queue, what is wrong with it, and what to do.
    public func validate() throws(AMQPError) {
        try ShortString.validateName(name, "A queue's name")
        do throws(AMQPError) {
            try arguments.validate()
        } catch {
            throw AMQPError(.invalidArgument, "Queue '\(name)': \(error.message)", file: error.file, line: error.line)
        }
        guard let kind = arguments.kind, kind == .quorum || kind == .stream else { return }
        if name.isEmpty { throw refused("has no name, and the broker makes names only for classic queues", "Name it.") }
        if !isDurable { throw refused("is not durable, and a \(kind.rawValue) queue always is", "Make it durable.") }
        if isExclusive { throw refused("is exclusive, and a \(kind.rawValue) queue can't be", "Use a classic queue.") }
        if isAutoDelete {
            throw refused("is auto-delete, and a \(kind.rawValue) queue can't be", "Use expires, or a classic queue.")
        }
    }

    private func refused(_ what: String, _ advice: String) -> AMQPError {
        AMQPError(.invalidArgument, "Queue '\(name)' \(what). \(advice)")
    }
}

extension QueueDeclaration {
    /// This declaration with the value that the queue has, so that declaring it again finds the next difference.
    ///
    /// What it says is then all in ``QueueArguments/other``, which isn't validated: a queue that exists may be as nobody would declare
    /// one. `nil` if the difference can't be taken in: it is of another object, or the broker's text was cut or holds a value that can't be
    /// read back.
    public func adopting(_ mismatch: DeclarationMismatch) -> QueueDeclaration? {
        guard mismatch.object == .queue, !mismatch.isCut else { return nil }
        var adopted = self
        var table = arguments.arguments
        switch mismatch.argument {
        case "durable":
            guard let truth = mismatch.current.flatMap({ Bool($0.text) }) else { return nil }
            adopted.isDurable = truth
        case "auto_delete":
            guard let truth = mismatch.current.flatMap({ Bool($0.text) }) else { return nil }
            adopted.isAutoDelete = truth
        case let argument:
            if let current = mismatch.current {
                guard let value = current.fieldValue(like: table[argument]) else { return nil }
                table[argument] = value
            } else {
                // A queue from before types had to be named is a classic one.
                table[argument] = argument == QueueArgumentName.queueType.rawValue ? "classic" : nil
            }
        }
        adopted.arguments = QueueArguments()
        adopted.arguments.other = table
        return adopted.isAsDeclared(by: self) ? nil : adopted
    }

    private func isAsDeclared(by other: QueueDeclaration) -> Bool {
        isDurable == other.isDurable && isAutoDelete == other.isAutoDelete
            && arguments.arguments == other.arguments.arguments
    }
}

/// What the broker says of a queue when it is declared or asked for.
public struct QueueStatus: Sendable, Hashable {
    /// The queue's name; the broker makes one up for a declaration without.
    public var name: String
    /// How many messages are ready for delivery, not counting those delivered and unsettled.
    public var messageCount: Int
    /// How many consumers the queue has.
    public var consumerCount: Int

    /// A status as the broker reports it.
    public init(name: String, messageCount: Int, consumerCount: Int) {
        self.name = name
        self.messageCount = messageCount
        self.consumerCount = consumerCount
    }
}
