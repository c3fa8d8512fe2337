import ArgumentParser
import UnixSignals

/// `warren-load faults`: what breaks around Warren, and what becomes of the jobs.
struct FaultsCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "faults",
        abstract: "Breaks what is around workers and callers, and counts every job.",
        discussion: """
            Each fault is an experiment of its own with a private broker, worker processes and a ledger: every job that the broker confirmed \
            to its caller against every job completed, dead or still queued at the end. The faults:

            \(FaultCatalogue.all.map { "\($0.name.padded(to: 21)) \($0.summary)" }.joined(separator: "\n"))

            lost         confirmed, and no trace of it at the end. Owed: 0 in each
            duplicated   completions of jobs beyond the first one
            recovered_s  from the end of the fault to the first job done after it; the longest, where the fault comes several times
            doubtful     enqueues whose outcome the caller doesn't know; such a job may appear or not, and counts for nothing else
            discarded    jobs that were in a queue when its operator deleted it
            slowest_worker_s  from the end of the last fault until every worker has done a job
            late_ms      how long after its deadline the slowest enqueue came back

            The exit code is 1 if one of them lost a job or broke what else it owes, as its line says under "broken".
            """
    )

    @Argument(help: "The faults to make; all by default.")
    var names: [String] = []

    @Flag(help: "Make every fault small: some seconds each.")
    var short = false

    @Option(help: "RabbitMQ's version: system, 4.0 or 4.3.")
    var brokerVersion = "system"

    @Flag(help: "Print a line of JSON for each fault as soon as it is over, and no table.")
    var json = false

    @Flag(help: "Print the table in Markdown.")
    var markdown = false

    func validate() throws {
        for name in names where !FaultCatalogue.all.contains(where: { $0.name == name }) {
            throw ValidationError("There is no fault '\(name)'.")
        }
        guard ["system", "4.0", "4.3"].contains(brokerVersion) else {
            throw ValidationError("--broker-version is system, 4.0 or 4.3.")
        }
        if json && markdown { throw ValidationError("--json and --markdown exclude each other.") }
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
            // On a signal this cancels the series, which ends its workers and brokers before it returns.
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
