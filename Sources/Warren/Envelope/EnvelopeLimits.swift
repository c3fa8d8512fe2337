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
        guard size <= HeaderBudget.limit else {
            throw EnvelopeError(
                .headersTooLarge,
                "The message's headers take \(size) bytes; at most \(HeaderBudget.limit) are read."
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
