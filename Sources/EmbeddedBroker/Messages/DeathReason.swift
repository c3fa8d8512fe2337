/// Why a message left a queue without having been dealt with.
enum DeathReason: String, Sendable, Hashable {
    case rejected
    case expired
    case maxLength = "maxlen"
    case deliveryLimit = "delivery_limit"
}
