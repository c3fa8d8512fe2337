import AMQP

/// The broker refuses a request: the code and text with which RabbitMQ would.
///
/// Source of the texts: RabbitMQ 3.10.8, as tried.
struct Refusal: Error, Equatable {
    var reply: BrokerReply

    init(_ code: UInt16, _ text: String) { reply = BrokerReply(code: code, text: text) }

    static func noQueue(_ name: String) -> Refusal { Refusal(404, "NOT_FOUND - no queue '\(name)' in vhost '/'") }

    static func noExchange(_ name: String) -> Refusal { Refusal(404, "NOT_FOUND - no exchange '\(name)' in vhost '/'") }

    static func locked(_ name: String) -> Refusal {
        Refusal(
            405,
            "RESOURCE_LOCKED - cannot obtain exclusive access to locked queue '\(name)' in vhost '/'. It could be originally "
                + "declared on another connection or the exclusive property value does not match that of the original declaration."
        )
    }

    static func reserved(_ what: String, _ name: String) -> Refusal {
        Refusal(403, "ACCESS_REFUSED - \(what) name '\(name)' contains reserved prefix 'amq.*'")
    }

    static let defaultExchange = Refusal(403, "ACCESS_REFUSED - operation not permitted on the default exchange")

    static func precondition(_ text: String) -> Refusal { Refusal(406, "PRECONDITION_FAILED - \(text)") }

    static func invalidArgument(_ name: String, ofQueue queue: String, _ why: String) -> Refusal {
        precondition("invalid arg '\(name)' for queue '\(queue)' in vhost '/': \(why)")
    }

    static func inequivalent(
        _ argument: String,
        _ object: DeclarationMismatch.Object,
        _ name: String,
        received: String,
        current: String
    ) -> Refusal {
        precondition(
            "inequivalent arg '\(argument)' for \(object.rawValue) '\(name)' in vhost '/': received \(received) but current is \(current)"
        )
    }

    static func notImplemented(_ text: String) -> Refusal { Refusal(540, "NOT_IMPLEMENTED - \(text)") }
}
