extension ExchangeDeclaration {
    /// Refuses what no supported broker takes, before it is sent.
    ///
    /// - Throws: `invalidArgument`: which exchange, what is wrong with it, and what to do.
    public func validate() throws(AMQPError) {
        guard !name.isEmpty else {
            throw AMQPError(
                .invalidArgument,
                "An exchange without a name can't be declared: that is the default exchange, which always exists. Name it."
            )
        }
        try ShortString.validateName(name, "An exchange's name")
        try ShortString.validate(kind.rawValue, "The kind of exchange '\(name)'")
        if let alternateExchange {
            try ShortString.validateName(alternateExchange, "The alternate exchange of exchange '\(name)'")
        }
        for (argument, _) in otherArguments {
            try ShortString.validate(argument, "The name of an argument of exchange '\(name)'")
        }
    }
}
