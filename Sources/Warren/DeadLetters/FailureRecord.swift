public import AMQP

#if canImport(FoundationEssentials)
public import FoundationEssentials
#else
public import Foundation
#endif

/// The record of a job's failures.
///
/// Messages keep it in their headers, so the body stays unchanged.
///
/// A record is bounded so that it fits into a message whatever the errors are: the history has at most ``historyLimit``
/// failures, and texts are truncated. Reading one never fails: missing or malformed values are `nil`.
public struct FailureRecord: Sendable, Hashable {
    /// The number of failures that the history keeps: the most recent ones.
    public static let historyLimit = 20

    /// The reason why the job is in the dead queue; `nil` while it is still being retried.
    public var reason: DeadReason?
    /// The type of the last error.
    public var errorType: String?
    /// The last error's message.
    public var message: String?
    /// More details of the last error.
    public var details: String?
    /// The failures, oldest first.
    public var history: [FailedAttempt]
    /// The total number of failures.
    public var failures: Int
    /// The exchange to which the job was published.
    public var originalExchange: String?
    /// The routing key with which the job was published.
    public var originalRoutingKey: String?
    /// The time of the first failure.
    public var firstFailedAt: Date?
    /// The time of the last failure.
    public var lastFailedAt: Date?
    /// The time at which the job was moved to the dead queue.
    public var deadAt: Date?

    /// Creates an empty record.
    public init() {
        history = []
        failures = 0
    }

    /// Appends a failure, and drops the oldest one if the history is full.
    mutating func add(_ error: ErrorDescription, attempt: Int, worker: String, now: Date) {
        add(
            FailedAttempt(
                attempt: attempt,
                time: now,
                worker: worker,
                errorType: error.type,
                message: error.message
            ),
            at: now
        )
    }

    /// Appends the loss of a worker, as ``add(_:attempt:worker:now:)`` appends a failure.
    mutating func add(_ crash: CrashHistory.Crash, attempt: Int) {
        add(
            FailedAttempt(
                attempt: attempt,
                time: crash.startedAt,
                worker: crash.worker,
                errorType: CrashHistory.errorType,
                message: "The worker's process ended while the job ran alone in it."
            ),
            at: crash.startedAt
        )
    }

    private mutating func add(_ failure: FailedAttempt, at time: Date) {
        history = Array((history + [failure]).suffix(FailureRecord.historyLimit))
        failures = max(failures, history.count - 1).addingReportingOverflow(1).partialValue
        firstFailedAt = firstFailedAt ?? time
        lastFailedAt = time
    }

    /// Removes what only the record of a dead job has.
    mutating func clearDeath() {
        reason = nil
        errorType = nil
        message = nil
        details = nil
        originalExchange = nil
        originalRoutingKey = nil
        deadAt = nil
    }
}

extension FailureRecord {
    /// Creates the record of a job that goes to the dead queue, from the record of its earlier failures and the last
    /// error.
    ///
    /// - Parameters:
    ///   - reason: The reason why the job is dead.
    ///   - error: The error that the last attempt threw, or that reading the message threw; `nil` if the job isn't dead
    ///     for an error.
    ///   - message: The job's message, with the record of earlier failures.
    ///   - attempt: The number of the attempt; `nil` if none was made, in which case the history stays unchanged.
    ///   - origin: The destination to which the job was published, for a replay.
    ///   - worker: The worker's name.
    ///   - now: The present.
    public init(
        reason: DeadReason,
        error: (any Error)?,
        message: Message,
        attempt: Int?,
        origin: Destination,
        worker: String,
        now: Date
    ) {
        self.init(headers: message.properties.headers ?? FieldTable())
        clearDeath()
        self.reason = reason
        if let error {
            let description = ErrorDescription(error)
            if let loop = error as? CrashHistory {
                for crash in loop.crashes { add(crash, attempt: attempt ?? 1) }
            } else if let attempt {
                add(description, attempt: attempt, worker: worker, now: now)
            }
            errorType = description.type
            self.message = description.message
            details = description.details
        }
        originalExchange = origin.exchange
        originalRoutingKey = origin.routingKey
        deadAt = now
    }

    /// Reads the record of a message in a dead queue, whether a worker or the broker put it there.
    ///
    /// If the broker did, there is no record of ours: then the reason is `broker-` followed by the broker's word
    /// (`delivery_limit`, `expired`, `maxlen`, `rejected`), and origin and time are those of the last `x-death` entry.
    public init(deadLetter message: Message) {
        let headers = message.properties.headers ?? FieldTable()
        self.init(headers: headers)
        guard reason == nil, let death = headers["x-death"]?.arrayValue?.first?.tableValue else { return }
        reason = death["reason"]?.stringValue.map { DeadReason(rawValue: "broker-" + $0.truncated(toBytes: 100)) }
        originalExchange = death["exchange"]?.stringValue
        originalRoutingKey = death["routing-keys"]?.arrayValue?.first?.stringValue
        deadAt = death["time"].flatMap(WireTime.date)
    }
}

extension FailureRecord {
    /// The headers that a record may set.
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
    package init(headers: FieldTable) {
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

    /// Sets the record's headers, truncated to their limits, and removes those of another record.
    package func write(to headers: inout FieldTable) {
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

/// A failure in a job's history.
public struct FailedAttempt: Sendable, Hashable {
    /// The number of the attempt, from 1.
    public var attempt: Int
    /// The time of the failure.
    public var time: Date?
    /// The name of the worker.
    public var worker: String?
    /// The type of the error.
    public var errorType: String?
    /// The error's message; at most 500 bytes are kept.
    public var message: String?

    /// Creates a failure.
    public init(attempt: Int, time: Date?, worker: String?, errorType: String?, message: String?) {
        self.attempt = attempt
        self.time = time
        self.worker = worker
        self.errorType = errorType
        self.message = message
    }
}

/// An error as failure records keep it: type, message and details, each truncated to its limit.
struct ErrorDescription: Sendable, Hashable {
    /// The maximum length of the message, in bytes.
    static let messageLimit = 4_096
    /// The maximum length of the details, in bytes.
    static let detailsLimit = 8_192
    /// The maximum length of the name of a type or worker, in bytes.
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
