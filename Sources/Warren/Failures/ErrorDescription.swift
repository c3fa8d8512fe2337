/// An error as a failure record keeps it: its type, what it says, and more if there is more.
///
/// Each is bounded.
struct ErrorDescription: Sendable, Hashable {
    /// The longest message, in bytes.
    static let messageLimit = 4_096
    /// The longest details, in bytes.
    static let detailsLimit = 8_192
    /// The longest type's or worker's name, in bytes.
    static let nameLimit = 255

    let type: String
    let message: String
    let details: String?

    init(_ error: any Error) {
        let error = (error as? UndecodablePayload)?.reason ?? error
        type =
            error is CrashHistory
            ? CrashHistory.errorType
            : String(reflecting: Swift.type(of: error)).truncated(toBytes: ErrorDescription.nameLimit)
        if let failure = error as? JobFailure {
            message = failure.message.truncated(toBytes: ErrorDescription.messageLimit)
            details = failure.underlying.map {
                String(reflecting: $0).truncated(toBytes: ErrorDescription.detailsLimit)
            }
        } else if let loop = error as? CrashHistory {
            message = loop.description.truncated(toBytes: ErrorDescription.messageLimit)
            details = nil
        } else {
            let text = String(describing: error)
            let debugText = String(reflecting: error)
            message = text.truncated(toBytes: ErrorDescription.messageLimit)
            details = debugText == text ? nil : debugText.truncated(toBytes: ErrorDescription.detailsLimit)
        }
    }
}
