import AMQP

extension BasicProperties {
    /// Throws if the properties may not fit into one frame, as AMQP demands of a content header.
    ///
    /// librabbitmq would notice only after the frame before it was sent, and the connection would be lost with all that is under way.
    func checkFitsFrame(for destination: Destination) throws(AMQPError) {
        let strings = [
            contentType, contentEncoding, correlationID, replyTo, expiration, messageID, type, userID, appID,
        ]
        let size = strings.reduce(64) { $0 + ($1?.utf8.count ?? 0) + 1 } + (headers?.largestWireSize ?? 0)
        guard size > ConnectionConfiguration.frameSize else { return }
        throw AMQPError(
            .messageTooLarge,
            """
            The message to \(destination) has headers of about \(size) bytes, and \(ConnectionConfiguration.frameSize) is the limit: \
            put the data into the body. Nothing was sent.
            """
        )
    }
}

extension FieldTable {
    /// Not less than the table's size on the wire.
    fileprivate var largestWireSize: Int {
        reduce(4) { $0 + $1.name.utf8.count + 1 + $1.value.largestWireSize }
    }
}

extension FieldValue {
    fileprivate var largestWireSize: Int {
        switch self {
        case .string(let text): 5 + text.utf8.count
        case .bytes(let octets): 5 + octets.count
        case .array(let elements): elements.reduce(5) { $0 + $1.largestWireSize }
        case .table(let table): 1 + table.largestWireSize
        default: 9
        }
    }
}
