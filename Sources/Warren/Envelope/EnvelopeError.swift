/// Why a message can't be read as a job: what a foreign or broken producer got wrong.
///
/// Such a message can't succeed however often it is tried, so a worker moves it to the dead queue with ``code`` as the reason.
/// ``message`` names headers, types and positions; it holds no value of the payload.
public struct EnvelopeError: Error, Sendable, Hashable, CustomStringConvertible {
    /// What is wrong.
    public var code: Code
    /// What is wrong, for people.
    public var message: String

    /// Makes an error.
    public init(_ code: Code, _ message: String) {
        self.code = code
        self.message = message
    }

    /// Code and message.
    public var description: String { "\(code): \(message)" }
}

extension EnvelopeError {
    /// What can be wrong with a message.
    ///
    /// More may come, so a `switch` needs a `default`. The text is stable: it is kept in dead letters.
    public struct Code: RawRepresentable, Sendable, Hashable, CustomStringConvertible {
        /// The code as it is kept in dead letters.
        public let rawValue: String

        /// A code by its text.
        public init(rawValue: String) { self.rawValue = rawValue }

        /// The code's text.
        public var description: String { rawValue }

        /// There is no `task` header, or not a text.
        public static let missingTask = Code(rawValue: "missing-task")
        /// There is no `id` header, or not a text.
        public static let missingID = Code(rawValue: "missing-id")
        /// A header that matters has another type or range than the protocol says.
        public static let invalidHeader = Code(rawValue: "invalid-header")
        /// `eta` isn't a time.
        public static let invalidETA = Code(rawValue: "invalid-eta")
        /// `expires` isn't a time.
        public static let invalidExpires = Code(rawValue: "invalid-expires")
        /// The content type isn't `application/json`.
        public static let wrongContentType = Code(rawValue: "wrong-content-type")
        /// The content encoding isn't UTF-8.
        public static let wrongContentEncoding = Code(rawValue: "wrong-content-encoding")
        /// The body is compressed, which this version can't undo.
        public static let compressed = Code(rawValue: "compressed")
        /// The body is over 16 MiB.
        public static let bodyTooLarge = Code(rawValue: "body-too-large")
        /// There are more headers than ``Envelope/maximumHeaderCount``.
        public static let tooManyHeaders = Code(rawValue: "too-many-headers")
        /// The headers take more bytes than fit into a message with a failure record.
        public static let headersTooLarge = Code(rawValue: "headers-too-large")
        /// Headers, or the body's JSON, are nested too deeply to be read.
        public static let tooDeep = Code(rawValue: "too-deep")
        /// The body isn't JSON.
        public static let notJSON = Code(rawValue: "not-json")
        /// The body isn't `[args, kwargs, embed]`.
        public static let notThreeParts = Code(rawValue: "not-three-parts")
        /// The job was called with positional arguments, and this job takes none.
        public static let positionalArguments = Code(rawValue: "positional-arguments")
        /// The arguments don't have the types of the job.
        public static let payloadMismatch = Code(rawValue: "payload-mismatch")
    }
}
