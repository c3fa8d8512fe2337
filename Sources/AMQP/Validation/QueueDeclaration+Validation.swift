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
