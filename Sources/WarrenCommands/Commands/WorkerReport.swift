import Logging
import Warren

/// What a worker has done: its counts, with its name beside them.
struct WorkerReport: Encodable {
    var worker: String
    var counts: WorkerCounts

    private enum CodingKeys: CodingKey {
        case worker
    }

    func encode(to encoder: any Encoder) throws {
        try counts.encode(to: encoder)
        var container = encoder.container(keyedBy: CodingKeys.self)
        try container.encode(worker, forKey: .worker)
    }

    /// The counts that a person looks for, as metadata of a log line.
    var metadata: Logger.Metadata {
        [
            "worker": "\(worker)", "succeeded": "\(counts.succeeded)", "retried": "\(counts.retried)",
            "dead": "\(counts.dead)", "parked": "\(counts.parked)", "requeued": "\(counts.requeued)",
            "redelivered": "\(counts.redelivered)",
        ]
    }
}
