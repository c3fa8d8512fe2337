import ArgumentParser
import UnixSignals

/// `warren-load faults`: injects faults around Warren, and accounts for every job.
struct FaultsCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "faults",
        abstract: "Injects faults around workers and callers, and accounts for every job.",
        discussion: """
            Each fault is a separate experiment with a private broker, worker processes and a ledger, which compares \
            the jobs that the \
            broker confirmed to their callers with the jobs completed, dead or still queued at the end. The faults:

            \(FaultCatalogue.all.map { "\($0.name.padded(to: 21)) \($0.summary)" }.joined(separator: "\n"))

            lost         confirmed jobs without a trace at the end. Required: 0 in each
            duplicated   completions of a job beyond the first
            recovered_s  from the end of the fault to the first job completed after it; the longest if the fault is \
            injected several times
            doubtful     enqueues whose outcome the caller doesn't know; such a job may appear or not, and counts \
            nowhere else
            discarded    jobs that were in a queue when the operator deleted it
            slowest_worker_s  from the end of the last fault until every worker has completed a job
            per_s_…      jobs done per second in a phase of the fault
            redelivered  jobs that began after the broker had delivered them before, where that must be 0
            late_ms      the time by which the slowest enqueue overran its deadline

            The exit code is 1 if a fault lost a job or missed another requirement; "broken" in its line says which.
            """
    )

    @Argument(help: "The faults to inject (default: all).")
    var names: [String] = []

    @Flag(help: "Run the short form of every fault, which takes some seconds.")
    var short = false

    @Option(help: "The RabbitMQ version: system, 4.0 or 4.3.")
    var brokerVersion = "system"

    @Flag(help: "Print a line of JSON after each fault instead of a table.")
    var json = false

    @Flag(help: "Print the table as Markdown.")
    var markdown = false

    func validate() throws {
        for name in names where !FaultCatalogue.all.contains(where: { $0.name == name }) {
            throw ValidationError("Unknown fault '\(name)'.")
        }
        guard ["system", "4.0", "4.3"].contains(brokerVersion) else {
            throw ValidationError("--broker-version must be system, 4.0 or 4.3.")
        }
        if json && markdown { throw ValidationError("--json and --markdown can't be combined.") }
    }

    func run() async throws {
        let series = FaultSeries(
            faults: FaultCatalogue.all.filter { names.isEmpty || names.contains($0.name) },
            isShort: short,
            version: brokerVersion,
            form: json ? .lines : markdown ? .markdown : .table
        )
        let signals = await UnixSignalsSequence(trapping: .sigint, .sigterm, .sighup)
        let isGood = try await withThrowingTaskGroup(of: Bool?.self) { group in
            group.addTask { try await series.run() }
            group.addTask {
                for await _ in signals { return nil }
                return nil
            }
            let first = try await group.next() ?? nil
            // After a signal this cancels the series, which stops its workers and brokers before it returns.
            group.cancelAll()
            while await group.nextResult() != nil {}
            return first ?? false
        }
        if !isGood { throw ExitCode(1) }
    }
}

extension String {
    fileprivate func padded(to width: Int) -> String { self + String(repeating: " ", count: max(0, width - count)) }
}
