extension Binding {
    /// Refuses what no supported broker takes, before it is sent.
    ///
    /// - Throws: `invalidArgument`: which binding, what is wrong with it, and what to do.
    public func validate() throws(AMQPError) {
        try ShortString.validateName(source, "The source exchange of a binding")
        try ShortString.validateName(target.name, "The target of a binding from exchange '\(source)'")
        try ShortString.validate(routingKey, "The routing key of the binding from '\(source)' to '\(target.name)'")
        guard !source.isEmpty else {
            throw AMQPError(
                .invalidArgument,
                "Nothing can be bound to the default exchange: every queue already is, by its name ('\(target.name)'). "
                    + "Name another exchange."
            )
        }
        for (argument, _) in arguments {
            try ShortString.validate(argument, "The name of an argument of the binding to '\(target.name)'")
        }
    }
}

extension Binding.Target {
    /// The name of the queue or exchange.
    public var name: String {
        switch self {
        case .queue(let name), .exchange(let name): name
        }
    }
}
