import AMQP

extension Envelope {
    /// How many headers a job may have; Celery sends some twenty.
    public static let maximumHeaderCount = 1_000
    /// How deeply a body's JSON may be nested, the body's own array and the keyword arguments included.
    ///
    /// It is bounded because decoding takes stack at each level.
    public static let maximumBodyDepth = 128

    /// Checks what headers may be, whoever wrote them.
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
        guard !headers.contains(where: { $0.value.isDeeper(than: WireLimits.standard.depth - 1) }) else {
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

extension FieldValue {
    /// True if tables and arrays are nested in it for more than `levels`, which bounds the recursion too.
    fileprivate func isDeeper(than levels: Int) -> Bool {
        switch self {
        case .array(let elements): levels == 0 || elements.contains { $0.isDeeper(than: levels - 1) }
        case .table(let table): levels == 0 || table.contains { $0.value.isDeeper(than: levels - 1) }
        default: false
        }
    }
}

/// Keeps headers small enough to be sent.
///
/// AMQP puts all properties of a message into one frame, and a frame has at most 131,072 bytes unless both sides agree on more: a
/// broker closes the connection on a larger one.
enum HeaderLimits {
    /// The most bytes of headers; what is left of the frame is for the other properties, each at most 256 bytes.
    static let maximumSize = 120_000

    /// More than any header has that Warren writes itself.
    private static let largestOfOurs = 24_000

    /// What a job can't do without.
    private static let essential: Set<String> = [
        EnvelopeHeader.task, EnvelopeHeader.id, EnvelopeHeader.retries, EnvelopeHeader.eta, EnvelopeHeader.expires,
    ]

    /// Removes the largest headers, those that aren't ours first, until the rest fits, and notes their names.
    ///
    /// One walk and one sort: a message from elsewhere may have as many headers as fit into a frame.
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
        (name.hasPrefix("warren-") || essential.contains(name)) && value.wireSize <= largestOfOurs
    }
}

extension FieldTable {
    /// How many bytes the table takes on the wire.
    var wireSize: Int { reduce(4) { $0 + 1 + $1.name.utf8.count + $1.value.wireSize } }
}

extension FieldValue {
    /// How many bytes the value takes on the wire, with its type's letter.
    var wireSize: Int {
        switch self {
        case .void: 1
        case .bool, .int8, .uint8: 2
        case .int16, .uint16: 3
        case .int32, .uint32, .float: 5
        case .decimal: 6
        case .int64, .double, .timestamp: 9
        case .string(let text): 5 + text.utf8.count
        case .bytes(let bytes): 5 + bytes.count
        case .array(let elements): elements.reduce(5) { $0 + $1.wireSize }
        case .table(let table): 1 + table.wireSize
        }
    }
}
