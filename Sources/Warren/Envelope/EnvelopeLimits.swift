import AMQP

extension Envelope {
    /// The most headers that a job may have; Celery sends some twenty.
    package static let maximumHeaderCount = 1_000
    /// The deepest nesting of a body's JSON, the body's own array and the keyword arguments included.
    ///
    /// It is bounded because decoding takes stack at each level.
    package static let maximumBodyDepth = 128

    /// Checks number, depth and size of headers, whoever wrote them.
    static func checkSize(of headers: FieldTable) throws(EnvelopeError) {
        guard headers.count <= maximumHeaderCount else {
            throw EnvelopeError(
                .tooManyHeaders,
                "The message has \(headers.count) headers; at most \(maximumHeaderCount) are read."
            )
        }
        if let reason = headers[FieldTable.omittedHeaders] {
            throw EnvelopeError(.tooDeep, (reason.stringValue ?? "Headers were left out.").truncated(toBytes: 400))
        }
        guard !headers.isDeeper(than: WireLimits.standard.depth) else {
            throw EnvelopeError(
                .tooDeep,
                "The message's headers are nested more than \(WireLimits.standard.depth) levels deep."
            )
        }
        let size = headers.wireSize
        guard size <= HeaderLimits.maximumSize else {
            throw EnvelopeError(
                .headersTooLarge,
                "The message's headers take \(size) bytes; at most \(HeaderLimits.maximumSize) are read."
            )
        }
    }
}

/// Keeps headers small enough to be sent.
///
/// AMQP puts all properties of a message into one frame, and a frame has at most 131,072 bytes unless both sides agree
/// on more. A broker closes the connection on a larger one.
enum HeaderLimits {
    /// The most bytes of headers.
    ///
    /// The rest of the frame is for the other properties, each at most 256 bytes.
    static let maximumSize = 120_000

    /// More bytes than any header that Warren writes itself.
    private static let largestOwnHeader = 24_000

    /// The headers without which a job can't be executed.
    private static let essential: Set<String> = [
        EnvelopeHeader.task, EnvelopeHeader.id, EnvelopeHeader.retries, EnvelopeHeader.eta, EnvelopeHeader.expires,
    ]

    /// Removes the largest headers, foreign ones first, until the rest fits, and records their names in a header.
    ///
    /// It takes one pass and one sort, because a foreign message may have as many headers as fit into a frame.
    static func trim(_ headers: inout FieldTable) {
        var excess = headers.wireSize - maximumSize
        guard excess > 0 else { return }
        var names = headers[EnvelopeHeader.droppedHeaders]?.arrayValue ?? []
        var dropped: Set<String> = []
        for (name, value) in headers.sorted(by: isMoreDispensable) where excess > 0 {
            excess -= 1 + name.utf8.count + value.wireSize
            dropped.insert(name)
            names.append(.string(name))
        }
        headers.removeAll { name, _ in dropped.contains(name) }
        headers[EnvelopeHeader.droppedHeaders] = .array(Array(names.suffix(20)))
    }

    private static func isMoreDispensable(
        _ one: (name: String, value: FieldValue),
        _ other: (name: String, value: FieldValue)
    ) -> Bool {
        let (isKept, otherIsKept) = (isKept(one.name, one.value), isKept(other.name, other.value))
        return isKept == otherIsKept ? one.value.wireSize > other.value.wireSize : otherIsKept
    }

    private static func isKept(_ name: String, _ value: FieldValue) -> Bool {
        (name.hasPrefix("warren-") || essential.contains(name)) && value.wireSize <= largestOwnHeader
    }
}
