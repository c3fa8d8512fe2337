import AMQP
import ArgumentParser
import Warren

/// A job as the command line asks for it, checked against the application's kinds of job.
struct JobRequest {
    let name: String
    let json: String
    let queue: QueueName
    let lane: Lane
    let timeToLive: Duration?

    /// - Throws: `ValidationError` for an unknown name without a queue; ``EnvelopeError`` if the payload isn't one of the kind.
    init(name: String, json: String, queue: QueueName?, lane: Lane?, kinds: [any Job.Type]) throws {
        self.name = name
        self.json = json
        guard let kind = kinds.first(where: { $0.name == name }) else {
            guard let queue else { throw ValidationError(Self.unknown(name, kinds)) }
            self.queue = queue
            self.lane = lane ?? .normal
            timeToLive = nil
            return
        }
        try Self.check(json, against: kind)
        self.queue = queue ?? kind.queue
        self.lane = lane ?? kind.lane
        timeToLive = kind.timeToLive
    }

    private static func unknown(_ name: String, _ kinds: [any Job.Type]) -> String {
        if kinds.isEmpty { return "Say where the job '\(name)' goes: --queue NAME" }
        let known = kinds.map { $0.name }.sorted().joined(separator: ", ")
        return "This application has no job '\(name)', only \(known). To send it all the same, say where: --queue NAME"
    }

    /// Reads the payload as a worker will.
    private static func check(_ json: String, against kind: (some Job).Type) throws(EnvelopeError) {
        var properties = BasicProperties()
        properties.contentType = "application/json"
        properties.headers = [EnvelopeHeader.task: .string(kind.name), EnvelopeHeader.id: "check"]
        let message = Message(properties: properties, body: Array("[[],\(json),{}]".utf8))
        _ = try Envelope(decoding: message).payload(as: kind)
    }
}
