public import AMQP

#if canImport(FoundationEssentials)
public import FoundationEssentials
#else
public import Foundation
#endif

extension FailureRecord {
    /// The record for a job that goes to the dead queue: what its earlier failures left in the headers, and the last error.
    ///
    /// - Parameter error: What the last attempt threw, or why the message can't be read; `nil` if it wasn't an error that killed the job.
    /// - Parameter attempt: Which attempt that was; `nil` if none was made, in which case the history stays as it is.
    /// - Parameter origin: Where the job was published to, so that a replay can go there.
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

    /// The record of a message in a dead queue, whoever put it there.
    ///
    /// If the broker did, there is no record of ours: then the reason is `broker-` and the broker's word (`delivery_limit`, `expired`,
    /// `maxlen`, `rejected`), and origin and time are those of the last `x-death` entry.
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
