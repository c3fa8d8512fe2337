import AMQP

/// Puts messages together from their frames: a method, a header that says how long the body is, and body frames until it is reached.
///
/// The frames of one message come without others of the same channel between them
/// (<https://www.rabbitmq.com/resources/specs/amqp0-9-1.pdf>, 2.3.5.2).
struct ContentAssembler {
    private enum State {
        case idle
        case started(ContentStart)
        case filling(ContentStart, BasicProperties, size: Int, body: [UInt8])
    }

    private var state = State.idle

    init() {}

    /// A complete message and the method that began it.
    typealias Content = (start: ContentStart, message: Message)

    /// Takes the method that begins a message.
    mutating func begin(_ start: ContentStart) throws(AMQPError) {
        guard case .idle = state else { throw Self.outOfOrder("a method inside of a message") }
        state = .started(start)
    }

    /// Takes a header; returns the message if it has no body.
    mutating func header(bodySize: Int, _ properties: BasicProperties) throws(AMQPError) -> Content? {
        guard case .started(let start) = state else { throw Self.outOfOrder("a header without its method") }
        guard bodySize > 0 else {
            state = .idle
            return (start, Message(properties: properties, body: []))
        }
        state = .filling(start, properties, size: bodySize, body: [])
        return nil
    }

    /// Takes a piece of the body; returns the message if it is the last.
    mutating func body(_ piece: [UInt8]) throws(AMQPError) -> Content? {
        guard case .filling(let start, let properties, let size, var body) = state else {
            throw Self.outOfOrder("a body without its header")
        }
        state = .idle
        if body.isEmpty && piece.count == size {
            return (start, Message(properties: properties, body: piece))
        }
        if body.isEmpty { body.reserveCapacity(min(size, 1 << 24)) }
        body += piece
        guard body.count <= size else { throw Self.outOfOrder("more body than its header announced") }
        if body.count == size { return (start, Message(properties: properties, body: body)) }
        state = .filling(start, properties, size: size, body: body)
        return nil
    }

    private static func outOfOrder(_ what: String) -> AMQPError {
        AMQPError(.malformed, "The broker sent \(what).")
    }
}
