import ArgumentParser

/// `warren-load run WORK`: one measurement of Warren in this process, started as a child by the other commands.
struct RunCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "run",
        abstract: "Makes one measurement in this process and prints it as JSON.",
        shouldDisplay: false
    )

    @Argument var work: Work
    @Option var url: String
    @Option var count: Int

    func run() async throws {
        if work == .firstJob { return try await JobWorkload(url, count).firstJob() }
        let measurement =
            switch work {
            case .publish, .publishOnExecutor:
                try await ClientWorkload(url, count).publish(work, inFlight: Load.inFlight)
            case .publishHundred:
                try await ClientWorkload(url, count).publish(work, inFlight: Load.callers)
            case .publishSerial, .publishSerialOnExecutor:
                try await ClientWorkload(url, count).publish(work, inFlight: 1)
            case .consume: try await ClientWorkload(url, count).consume(prefetch: Load.prefetch)
            case .enqueue: try await JobWorkload(url, count).enqueue()
            case .execute: try await JobWorkload(url, count).execute()
            case .latency: try await JobWorkload(url, count).latency()
            case .start: try await JobWorkload(url, count).start()
            case .firstJob, .consumeMultiple: throw ValidationError("Warren has no such measurement.")
            }
        print(try measurement.line)
    }
}
