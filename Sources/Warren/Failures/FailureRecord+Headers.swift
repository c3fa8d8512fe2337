public import AMQP

#if canImport(FoundationEssentials)
import FoundationEssentials
#else
import Foundation
#endif

extension FailureRecord {
    /// All headers that a record may set.
    private static let names: Set<String> = [
        EnvelopeHeader.deadReason, EnvelopeHeader.errorType, EnvelopeHeader.errorMessage, EnvelopeHeader.errorDetails,
        EnvelopeHeader.history, EnvelopeHeader.failures, EnvelopeHeader.originalExchange,
        EnvelopeHeader.originalRoutingKey, EnvelopeHeader.firstFailedAt, EnvelopeHeader.lastFailedAt,
        EnvelopeHeader.deadAt,
    ]

    /// Removes a record from headers.
    static func remove(from headers: inout FieldTable) {
        headers.removeAll { name, _ in names.contains(name) }
    }

    /// Reads the record that Warren left in a message's headers.
    public init(headers: FieldTable) {
        self.init()
        reason = headers.text(EnvelopeHeader.deadReason).map(DeadReason.init(rawValue:))
        errorType = headers.text(EnvelopeHeader.errorType)
        message = headers.text(EnvelopeHeader.errorMessage)
        details = headers.text(EnvelopeHeader.errorDetails)
        history = (headers[EnvelopeHeader.history]?.arrayValue ?? [])
            .suffix(FailureRecord.historyLimit)
            .compactMap { $0.tableValue.map(FailedAttempt.init(table:)) }
        let count = headers[EnvelopeHeader.failures]?.integerValue ?? 0
        failures = Int(min(max(count, Int64(history.count)), Int64(Int32.max)))
        originalExchange = headers.text(EnvelopeHeader.originalExchange)
        originalRoutingKey = headers.text(EnvelopeHeader.originalRoutingKey)
        firstFailedAt = headers[EnvelopeHeader.firstFailedAt].flatMap(WireTime.date)
        lastFailedAt = headers[EnvelopeHeader.lastFailedAt].flatMap(WireTime.date)
        deadAt = headers[EnvelopeHeader.deadAt].flatMap(WireTime.date)
    }

    /// Sets the record's headers, cut to what they may hold, and removes those of another record.
    public func write(to headers: inout FieldTable) {
        FailureRecord.remove(from: &headers)
        headers.set(EnvelopeHeader.deadReason, reason?.rawValue, ErrorDescription.nameLimit)
        headers.set(EnvelopeHeader.errorType, errorType, ErrorDescription.nameLimit)
        headers.set(EnvelopeHeader.errorMessage, message, ErrorDescription.messageLimit)
        headers.set(EnvelopeHeader.errorDetails, details, ErrorDescription.detailsLimit)
        if !history.isEmpty {
            let tables = history.suffix(FailureRecord.historyLimit).map { FieldValue.table($0.table) }
            headers[EnvelopeHeader.history] = .array(tables)
        }
        if failures > 0 { headers[EnvelopeHeader.failures] = .integer(Int64(failures)) }
        headers.set(EnvelopeHeader.originalExchange, originalExchange, ErrorDescription.nameLimit)
        headers.set(EnvelopeHeader.originalRoutingKey, originalRoutingKey, ErrorDescription.nameLimit)
        headers.set(EnvelopeHeader.firstFailedAt, firstFailedAt.map(WireTime.text), ErrorDescription.nameLimit)
        headers.set(EnvelopeHeader.lastFailedAt, lastFailedAt.map(WireTime.text), ErrorDescription.nameLimit)
        headers.set(EnvelopeHeader.deadAt, deadAt.map(WireTime.text), ErrorDescription.nameLimit)
    }
}

extension FailedAttempt {
    /// The longest message in the history, in bytes.
    private static let messageLimit = 500

    fileprivate init(table: FieldTable) {
        self.init(
            attempt: table["attempt"]?.integerValue.map { Int(clamping: $0) } ?? 0,
            time: table["at"].flatMap(WireTime.date),
            worker: table.text("worker"),
            errorType: table.text("type"),
            message: table.text("error")
        )
    }

    fileprivate var table: FieldTable {
        var table: FieldTable = ["attempt": .integer(Int64(attempt))]
        table.set("at", time.map(WireTime.text), ErrorDescription.nameLimit)
        table.set("worker", worker, ErrorDescription.nameLimit)
        table.set("type", errorType, ErrorDescription.nameLimit)
        table.set("error", message, FailedAttempt.messageLimit)
        return table
    }
}

extension FieldTable {
    fileprivate func text(_ name: String) -> String? { self[name]?.stringValue }

    fileprivate mutating func set(_ name: String, _ text: String?, _ limit: Int) {
        self[name] = text.map { .string($0.truncated(toBytes: limit)) }
    }
}
