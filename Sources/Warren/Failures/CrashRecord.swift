import AMQP

#if canImport(FoundationEssentials)
import FoundationEssentials
#else
import Foundation
#endif

/// That a suspected job was started alone: what is left at the broker if its process ends before the job does.
struct CrashRecord: Sendable, Hashable {
    /// The record's own id, by which the worker that wrote it finds it again.
    let id: String
    let jobID: String
    let worker: String
    let time: Date

    init(jobID: String, worker: String, now: Date) {
        id = JobID.make(now: now)
        self.jobID = jobID
        self.worker = worker
        time = now
    }

    /// Reads a record; `nil` if the message isn't one.
    init?(_ message: Message) {
        let headers = message.properties.headers
        guard let id = message.properties.messageID,
            let jobID = headers?[EnvelopeHeader.startedJob]?.stringValue,
            let worker = headers?[EnvelopeHeader.startedBy]?.stringValue,
            let time = headers?[EnvelopeHeader.startedAt].flatMap(WireTime.date)
        else { return nil }
        self.id = id
        self.jobID = jobID
        self.worker = worker
        self.time = time
    }

    var message: Message {
        var properties = BasicProperties()
        properties.messageID = id
        properties.deliveryMode = .persistent
        properties.timestamp = UInt64(clamping: Int64(time.timeIntervalSince1970))
        properties.headers = [
            EnvelopeHeader.startedJob: .string(jobID),
            EnvelopeHeader.startedBy: .string(worker.truncated(toBytes: ErrorDescription.nameLimit)),
            EnvelopeHeader.startedAt: .string(WireTime.text(time)),
        ]
        return Message(properties: properties, body: [])
    }
}
