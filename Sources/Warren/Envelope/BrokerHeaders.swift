import AMQP

/// Headers that a broker put on a message or acts upon, and that must not go out again with a copy.
///
/// Brokers before 4.0 read a republished `x-death` as the message's own history and drop a message that seems to go round in circles;
/// `CC` and `BCC` would send each copy to further queues.
enum BrokerHeaders {
    static func remove(from headers: inout FieldTable) {
        headers.removeAll { name, _ in contains(name) }
    }

    static func contains(_ name: String) -> Bool {
        if name == "CC" || name == "BCC" { return true }
        guard name.utf8.first == UInt8(ascii: "x") else { return false }
        return name == "x-death" || name == EnvelopeHeader.deliveryCount || name == "x-acquired-count"
            || name.hasPrefix("x-first-death-") || name.hasPrefix("x-last-death-")
    }
}
