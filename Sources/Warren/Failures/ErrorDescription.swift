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
            error is CrashLoop
            ? CrashLoop.errorType : excerpt(String(reflecting: Swift.type(of: error)), ErrorDescription.nameLimit)
        if let failure = error as? JobFailure {
            message = excerpt(failure.message, ErrorDescription.messageLimit)
            details = failure.underlying.map { excerpt(String(reflecting: $0), ErrorDescription.detailsLimit) }
        } else if let loop = error as? CrashLoop {
            message = excerpt(loop.description, ErrorDescription.messageLimit)
            details = nil
        } else {
            let text = String(describing: error)
            let debugText = String(reflecting: error)
            message = excerpt(text, ErrorDescription.messageLimit)
            details = debugText == text ? nil : excerpt(debugText, ErrorDescription.detailsLimit)
        }
    }
}
