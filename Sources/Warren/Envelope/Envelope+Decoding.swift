public import AMQP

#if canImport(FoundationEssentials)
import FoundationEssentials
#else
import Foundation
#endif

extension Envelope {
    /// The longest job name and id that are read, in bytes.
    static let maximumNameLength = 255

    /// Reads a message's headers.
    ///
    /// The body is looked at only for its size.
    ///
    /// - Throws: ``EnvelopeError``, saying what is wrong.
    public init(decoding message: Message) throws(EnvelopeError) {
        var fields = Fields()
        if let headers = message.properties.headers {
            try Envelope.checkSize(of: headers)
            for (name, value) in headers { fields.note(name, value) }
        }
        let name = try Envelope.text(fields.task, EnvelopeHeader.task, orElse: .missingTask)
        let id = try Envelope.text(fields.id, EnvelopeHeader.id, orElse: .missingID)
        try Envelope.checkContent(message, compression: fields.compression)
        self.init(
            id: id,
            name: name,
            retries: try Envelope.retries(fields.retries),
            eta: try Envelope.time(fields.eta, EnvelopeHeader.eta, orElse: .invalidETA),
            expires: try Envelope.time(fields.expires, EnvelopeHeader.expires, orElse: .invalidExpires),
            timeLimits: TimeLimits(wire: fields.timeLimits),
            message: message
        )
    }

    /// The headers that decide about a job, picked out in one walk over all of them.
    private struct Fields {
        var task: FieldValue?
        var id: FieldValue?
        var retries: FieldValue?
        var eta: FieldValue?
        var expires: FieldValue?
        var timeLimits: FieldValue?
        var compression: FieldValue?

        /// Looks at the name's length first: comparing all names with all that are wanted would be most of the work of decoding.
        mutating func note(_ name: String, _ value: FieldValue) {
            switch name.utf8.count {
            case 2: if name == EnvelopeHeader.id { id = value }
            case 3: if name == EnvelopeHeader.eta { eta = value }
            case 4: if name == EnvelopeHeader.task { task = value }
            case 7:
                if name == EnvelopeHeader.retries {
                    retries = value
                } else if name == EnvelopeHeader.expires {
                    expires = value
                }
            case 9: if name == EnvelopeHeader.timeLimit { timeLimits = value }
            case 11: if name == EnvelopeHeader.compression { compression = value }
            default: break
            }
        }
    }

    private static func text(
        _ value: FieldValue?,
        _ header: String,
        orElse code: EnvelopeError.Code
    ) throws(EnvelopeError) -> String {
        guard let value, value != .void else { throw EnvelopeError(code, "The message has no '\(header)' header.") }
        guard case .string(let text) = value else { throw EnvelopeError(code, "The '\(header)' header is not a text.") }
        if text.isEmpty { throw EnvelopeError(code, "The '\(header)' header is empty.") }
        if text.utf8.count > maximumNameLength {
            throw EnvelopeError(.invalidHeader, "The '\(header)' header is longer than \(maximumNameLength) bytes.")
        }
        return text
    }

    private static func retries(_ value: FieldValue?) throws(EnvelopeError) -> Int {
        guard let value, value != .void else { return 0 }
        guard let number = value.integerValue, (0..<Int64(Int32.max)).contains(number) else {
            throw EnvelopeError(.invalidHeader, "The 'retries' header is not a whole number from 0 up to 2^31.")
        }
        return Int(number)
    }

    private static func time(
        _ value: FieldValue?,
        _ header: String,
        orElse code: EnvelopeError.Code
    ) throws(EnvelopeError) -> Date? {
        guard let value, value != .void else { return nil }
        guard let date = WireTime.date(value) else {
            throw EnvelopeError(code, "The '\(header)' header is not an ISO 8601 time.")
        }
        return date
    }

    private static func checkContent(_ message: Message, compression: FieldValue?) throws(EnvelopeError) {
        if let compression, compression != .void, compression != "" {
            let algorithm = compression.stringValue.map { $0.truncated(toBytes: 60) } ?? "something that is not a text"
            throw EnvelopeError(.compressed, "The body is compressed ('\(algorithm)'), which can't be undone here.")
        }
        try checkContentType(message.properties.contentType)
        try checkContentEncoding(message.properties.contentEncoding)
        if message.body.count > Message.maximumBodySize {
            throw EnvelopeError(.bodyTooLarge, "The body has \(message.body.count) bytes, more than 16 MiB.")
        }
    }

    private static func checkContentType(_ type: String?) throws(EnvelopeError) {
        if type == "application/json" { return }
        guard let type else {
            throw EnvelopeError(.wrongContentType, "The message has no content type; it must be application/json.")
        }
        // Stricter readers take the bare type only; a parameter or capitals make no other format of it.
        let bare = type.lowercased().prefix { $0 != ";" && $0 != " " }
        if bare == "application/json" { return }
        throw EnvelopeError(
            .wrongContentType,
            "The content type is '\(type.truncated(toBytes: 60))'; it must be application/json."
        )
    }

    private static func checkContentEncoding(_ encoding: String?) throws(EnvelopeError) {
        guard let encoding, encoding != "utf-8" else { return }
        if ["utf-8", "utf8", "us-ascii", "ascii", "binary", ""].contains(encoding.lowercased()) { return }
        throw EnvelopeError(
            .wrongContentEncoding,
            "The content encoding is '\(encoding.truncated(toBytes: 60))'; it must be utf-8."
        )
    }
}
