/// The reason why a message can't be decoded as a job: the mistake of a foreign or broken producer.
///
/// No attempt at such a message can succeed, so a worker moves it to the dead queue with ``code`` as the reason.
/// ``message`` names headers, types and positions; it never holds a value of the payload.
public struct EnvelopeError: Error, Sendable, Hashable, CustomStringConvertible {
    /// The kind of mistake.
    public var code: Code
    /// A description for people.
    public var message: String

    /// Creates an error.
    public init(_ code: Code, _ message: String) {
        self.code = code
        self.message = message
    }

    /// Code and message.
    public var description: String { "\(code): \(message)" }
}

extension EnvelopeError {
    /// The kinds of mistake.
    ///
    /// More may come, so a `switch` needs a `default`. The text is stable: dead letters keep it.
    public struct Code: RawRepresentable, Sendable, Hashable, CustomStringConvertible {
        /// The text that dead letters keep.
        public let rawValue: String

        /// Creates a code from its text.
        public init(rawValue: String) { self.rawValue = rawValue }

        /// The code's text.
        public var description: String { rawValue }

        /// The `task` header is missing or not text.
        public static let missingTask = Code(rawValue: "missing-task")
        /// The `id` header is missing or not text.
        public static let missingID = Code(rawValue: "missing-id")
        /// A header has a type or value that the protocol doesn't allow.
        public static let invalidHeader = Code(rawValue: "invalid-header")
        /// `eta` isn't a time.
        public static let invalidETA = Code(rawValue: "invalid-eta")
        /// `expires` isn't a time.
        public static let invalidExpires = Code(rawValue: "invalid-expires")
        /// The content type isn't `application/json`.
        public static let wrongContentType = Code(rawValue: "wrong-content-type")
        /// The content encoding isn't UTF-8.
        public static let wrongContentEncoding = Code(rawValue: "wrong-content-encoding")
        /// The body is compressed; this version can't decompress it.
        public static let compressed = Code(rawValue: "compressed")
        /// The body is over 16 MiB.
        public static let bodyTooLarge = Code(rawValue: "body-too-large")
        /// There are more than 1,000 headers.
        public static let tooManyHeaders = Code(rawValue: "too-many-headers")
        /// The headers are larger than a message with a failure record allows.
        public static let headersTooLarge = Code(rawValue: "headers-too-large")
        /// Headers, or the body's JSON, are nested too deeply to be decoded.
        public static let tooDeep = Code(rawValue: "too-deep")
        /// The body isn't JSON.
        public static let notJSON = Code(rawValue: "not-json")
        /// The body isn't `[args, kwargs, embed]`.
        public static let notThreeParts = Code(rawValue: "not-three-parts")
        /// The job was called with positional arguments, which Warren's jobs don't take.
        public static let positionalArguments = Code(rawValue: "positional-arguments")
        /// The arguments don't have the types of the job.
        public static let payloadMismatch = Code(rawValue: "payload-mismatch")
    }
}
