import AMQP
public import ArgumentParser
import Foundation
import Warren

/// `enqueue`: sends one job.
public struct EnqueueCommand<App: WarrenApplication>: BrokerCommand {
    /// The command's name and help.
    public static var configuration: CommandConfiguration {
        CommandConfiguration(
            commandName: "enqueue",
            abstract: "Send a job.",
            discussion: """
                For a job that the application declares, the payload is checked against the job's type, and queue and lane \
                default to the job's own. A job of any other name needs --queue, and its payload is sent unchecked.

                Once the broker has confirmed the job, the command prints a line of JSON: id, name, queue, lane, and, where \
                they apply, dueAt and expiresAt.
                """
        )
    }

    @Argument(help: ArgumentHelp("The job's name, such as emails.send.", valueName: "name"))
    var jobName: String

    @Option(help: ArgumentHelp("The payload, a JSON object; '-' reads it from standard input.", valueName: "object"))
    var json = "{}"

    @Option(help: "The queue.")
    var queue: String?

    @Option(help: "The priority lane: high, normal or low.", transform: Lane.init(argument:))
    var lane: Lane?

    @Option(help: ArgumentHelp("The delay until the job is due, such as 90s, 5m or 1h30m.", valueName: "duration"))
    var delay: DurationArgument?

    @Option(
        name: .customLong("at"),
        help: ArgumentHelp(
            "The time at which the job is due, such as 2026-11-21T06:30:00Z; one in the past means at once.",
            discussion: "The form is RFC 3339's, with the offset from UTC.",
            valueName: "time"
        )
    )
    var dueTime: InstantArgument?

    @Option(
        help: ArgumentHelp(
            "The time after its due time at which the job expires if it hasn't started.",
            valueName: "duration"
        )
    )
    var expires: DurationArgument?

    @Option(
        help: ArgumentHelp(
            "The time after which an attempt has failed, and the worker's process ends if the handler doesn't.",
            discussion: "Default: that of the job's type.",
            valueName: "duration"
        )
    )
    var timeLimit: DurationArgument?

    @Option(
        help: ArgumentHelp(
            "The time after which an attempt is cancelled.",
            discussion: "Default: that of the job's type.",
            valueName: "duration"
        )
    )
    var softTimeLimit: DurationArgument?

    @Option(
        name: .customLong("header"),
        help: ArgumentHelp("A header for the handler; can be given several times.", valueName: "name=value"),
        transform: HeaderArgument.init(argument:)
    )
    var headers: [HeaderArgument] = []

    @Option(help: ArgumentHelp("The job's id.", discussion: "Default: a new, unique id."))
    var id: String?

    @Option(help: ArgumentHelp("The time to wait for the broker to confirm the job.", valueName: "duration"))
    var timeout = DurationArgument(JobClient.defaultTimeout)

    @Flag(
        name: .customLong("declare-topology"),
        inversion: .prefixedNo,
        help: "Declare the queue, its exchange and bindings before sending."
    )
    var declaresTopology = true

    @OptionGroup var topologyOptions: App.TopologyOptions
    /// The broker and the log level.
    @OptionGroup public var brokerOptions: BrokerOptions

    /// Creates the command, for its parser.
    public init() {}

    /// Validates the options.
    public func validate() throws {
        guard delay == nil || dueTime == nil else {
            throw ValidationError("A job has a delay or a time at which it is due: give --delay or --at, not both.")
        }
        _ = try HeaderArgument.table(headers)
        if let soft = softTimeLimit, let hard = timeLimit, soft.duration >= hard.duration {
            throw ValidationError("--soft-time-limit must be shorter than --time-limit.")
        }
        guard ![timeLimit, softTimeLimit].contains(where: { $0?.duration == .zero }) else {
            throw ValidationError("A time limit must be above 0.")
        }
    }

    /// Runs the command.
    public func run() async throws {
        let payload = json == "-" ? try Self.standardInput() : json
        let request = try JobRequest(
            name: jobName,
            json: payload,
            queue: queue.map(QueueName.init(_:)),
            lane: lane,
            kinds: App.jobs
        )
        let topology = try App.topology(topologyOptions, for: [request.queue])
        let job = try await brokerOptions.withBroker(as: "enqueue", of: App.self) { broker in
            try await JobClient(broker, topology: topology, declaresTopology: declaresTopology).enqueue(
                name: request.name,
                json: request.json,
                queue: request.queue,
                delay: delay?.duration,
                at: dueTime?.date,
                lane: request.lane,
                expiresAt: expiry(request.timeToLive),
                timeLimits: TimeLimits(soft: softTimeLimit?.duration, hard: timeLimit?.duration),
                id: id,
                headers: try HeaderArgument.table(headers),
                timeout: timeout.duration
            )
        }
        try Output.json(EnqueuedJobReport(job))
    }

    private func expiry(_ timeToLive: Duration?) -> Date? {
        guard let timeToLive = expires?.duration ?? timeToLive else { return nil }
        let now = Date()
        let due = max(now, dueTime?.date ?? now.addingTimeInterval((delay?.duration ?? .zero) / .seconds(1)))
        return due.addingTimeInterval(timeToLive / .seconds(1))
    }

    private static func standardInput() throws -> String {
        let data = try FileHandle.standardInput.readToEnd() ?? Data()
        guard let text = String(data: data, encoding: .utf8) else {
            throw ValidationError("The payload on standard input is not UTF-8.")
        }
        return text
    }
}

/// The line that `enqueue` prints.
struct EnqueuedJobReport: Encodable {
    let id: String
    let name: String
    let queue: String
    let lane: String
    let dueAt: Date?
    let expiresAt: Date?

    init(_ job: EnqueuedJob) {
        id = job.id
        name = job.name
        queue = job.queue.rawValue
        lane = job.lane.name
        dueAt = job.dueAt
        expiresAt = job.expiresAt
    }
}

/// A job requested on the command line, checked against the application's kinds of job.
struct JobRequest {
    let name: String
    let json: String
    let queue: QueueName
    let lane: Lane
    let timeToLive: Duration?

    /// - Throws: `ValidationError` for an unknown name without a queue; ``EnvelopeError`` if the payload doesn't match
    ///   the job's type.
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
        if kinds.isEmpty { return "The job '\(name)' needs a queue: --queue NAME" }
        let known = kinds.map { $0.name }.sorted().joined(separator: ", ")
        return "This application has no job '\(name)'; its jobs are: \(known). To send it anyway, name a queue: "
            + "--queue NAME"
    }

    /// Decodes the payload as a worker will.
    private static func check(_ json: String, against kind: (some Job).Type) throws(EnvelopeError) {
        var properties = BasicProperties()
        properties.contentType = "application/json"
        properties.headers = [EnvelopeHeader.task: .string(kind.name), EnvelopeHeader.id: "check"]
        let message = Message(properties: properties, body: Array("[[],\(json),{}]".utf8))
        _ = try Envelope(decoding: message).payload(as: kind)
    }
}
