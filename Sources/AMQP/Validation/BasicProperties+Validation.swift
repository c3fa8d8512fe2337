extension BasicProperties {
    /// Refuses what AMQP can't send or RabbitMQ would close the connection for.
    ///
    /// The latter is what an infinite number in the headers does, or one that is none (NaN): Erlang has no such numbers, and the broker
    /// fails with 541, as tried with 3.10.8 and 4.3.6.
    ///
    /// - Throws: `invalidArgument`: which property or header, what is wrong with it, and what to do.
    public func validate() throws(AMQPError) {
        try validate(contentType, "content-type")
        try validate(contentEncoding, "content-encoding")
        try validate(correlationID, "correlation-id")
        try validate(replyTo, "reply-to")
        try validate(expiration, "expiration")
        try validate(messageID, "message-id")
        try validate(type, "type")
        try validate(userID, "user-id")
        try validate(appID, "app-id")
        if let expiration { try Self.validateExpiration(expiration) }
        guard let headers else { return }
        do throws(WireFault) {
            var room = WireLimits.standard
            try Self.validate(headers, &room)
        } catch { throw error.inside("headers").error(.invalidArgument, "A message's properties can't be sent") }
    }

    private func validate(_ text: String?, _ property: String) throws(AMQPError) {
        guard let text else { return }
        try ShortString.validate(text, "The message property \(property)")
    }

    private static func validateExpiration(_ text: String) throws(AMQPError) {
        let isDigits = text.utf8.allSatisfy { UInt8(ascii: "0")...UInt8(ascii: "9") ~= $0 }
        guard isDigits, let milliseconds = Int64(text), milliseconds <= 315_360_000_000 else {
            throw AMQPError(
                .invalidArgument,
                "The message property expiration is '\(text)'; RabbitMQ takes a whole number of milliseconds from 0 to "
                    + "315360000000 (ten years), as decimal digits."
            )
        }
    }

    private static func validate(_ value: FieldValue, _ room: inout WireLimits) throws(WireFault) {
        switch value {
        case .float(let number) where !number.isFinite: throw notFinite("\(number)")
        case .double(let number) where !number.isFinite: throw notFinite("\(number)")
        case .table(let table): try validate(table, &room)
        case .array(let elements):
            try room.enter()
            for index in elements.indices {
                do throws(WireFault) { try validate(elements[index], &room) } catch { throw error.inside(index) }
            }
            room.leave()
        default: break
        }
    }

    private static func validate(_ table: FieldTable, _ room: inout WireLimits) throws(WireFault) {
        try room.enter()
        for (name, value) in table.entries {
            do throws(WireFault) {
                guard name.utf8.count <= ShortString.maximumLength else {
                    throw WireFault("its name has \(name.utf8.count) bytes; AMQP takes \(ShortString.maximumLength).")
                }
                try validate(value, &room)
            } catch { throw error.inside(name) }
        }
        room.leave()
    }

    private static func notFinite(_ number: String) -> WireFault {
        WireFault("is \(number), which RabbitMQ can't read. Send it as text.")
    }
}
