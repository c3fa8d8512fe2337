import AMQP
import ArgumentParser
import Foundation
import Warren
import WarrenCommands

/// `digest enqueue`: makes a job of each file.
struct EnqueueFolder: BrokerCommand {
    static let configuration = CommandConfiguration(
        commandName: "enqueue",
        abstract: "Make a job of each regular file below a folder.",
        discussion: """
            Symbolic links are not followed. Files that can't be read, and names that are not UTF-8, are left out, and told.

            With --json the last line is an object: enqueued, planted, flaky, leftOut, seconds.
            """
    )

    @Argument var folder: String
    @Option(help: ArgumentHelp("The share of files, from 0 to 1, whose first attempt or two fail.", valueName: "share"))
    var flaky = 0.0
    @Option(help: ArgumentHelp("How many jobs to plant that can never succeed.", valueName: "count"))
    var poison = 0
    @Option(help: "The queue.")
    var queue = DigestFile.queue.rawValue
    @Option(help: "How many jobs may wait for the broker's confirm at a time.")
    var inFlight = 128
    @Option(help: ArgumentHelp("Write a line of JSON here for each job that the broker confirmed.", valueName: "file"))
    var ledger: String?
    @OptionGroup var output: OutputOptions
    @OptionGroup var brokerOptions: BrokerOptions

    func validate() throws {
        guard (0...1).contains(flaky) else { throw ValidationError("The share of flaky files is from 0 to 1.") }
        guard poison >= 0, (1...10_000).contains(inFlight) else {
            throw ValidationError("--poison is at least 0, and --in-flight from 1 to 10,000.")
        }
    }

    func run() async throws {
        let began = ContinuousClock.now
        let walk = try FolderWalk(folder)
        for (path, problem) in walk.problems {
            Output.note("left out, \(problem.rawValue): \(path.description.debugDescription)")
        }
        let plan = FaultPlan(flaky: flaky, poison: poison)
        let real = walk.files.map { DigestFile(path: $0, failures: plan.failures(of: $0)) }
        let planted = plan.planted(below: walk.root)
        // Among the others rather than behind them.
        let jobs = Self.spread(planted.map { ($0, true) }, among: real.map { ($0, false) })
        try await brokerOptions.withBroker(as: "digest enqueue", of: Digest.self) { broker in
            try await enqueue(jobs, with: JobClient(broker, topology: Digest.topology))
        }
        let report = Report(
            enqueued: jobs.count,
            planted: planted.count,
            flaky: real.count { $0.failures != nil },
            leftOut: walk.problems.count,
            seconds: ((ContinuousClock.now - began) / .milliseconds(1)).rounded() / 1_000
        )
        if output.isJSON {
            try Output.json(report)
        } else {
            Output.line(
                "\(report.enqueued) jobs enqueued in \(report.seconds) s: \(report.flaky) will fail at first, "
                    + "\(report.planted) always."
            )
        }
    }

    /// Sends all jobs, so many at a time, and writes down each that is confirmed.
    private func enqueue(_ jobs: [(DigestFile, Bool)], with client: JobClient) async throws {
        let ledger = try ledger.map(LineFile.init(path:))
        var bar = ProgressBar("enqueued", total: jobs.count)
        var confirmed = 0
        let queue = QueueName(queue)
        try await withThrowingTaskGroup(of: LedgerEntry.self) { group in
            func takeOne() async throws {
                guard let entry = try await group.next() else { return }
                try ledger?.append(entry)
                confirmed += 1
                bar.show(confirmed)
            }
            for (number, (job, isPlanted)) in jobs.enumerated() {
                if number >= inFlight { try await takeOne() }
                group.addTask {
                    let at = Date().timeIntervalSince1970
                    let handle = try await client.enqueue(job, queue: queue)
                    return LedgerEntry(job: handle.id, path: job.path, isPlanted: isPlanted, at: at)
                }
            }
            while confirmed < jobs.count { try await takeOne() }
        }
        bar.finish(confirmed)
    }

    static func spread<Element>(_ few: [Element], among many: [Element]) -> [Element] {
        var result: [Element] = []
        result.reserveCapacity(few.count + many.count)
        let stride = many.count / (few.count + 1)
        var rest = few[...]
        for (number, element) in many.enumerated() {
            if number > 0, stride > 0, number % stride == 0, let next = rest.popFirst() { result.append(next) }
            result.append(element)
        }
        return result + rest
    }

    private struct Report: Encodable {
        let enqueued: Int
        let planted: Int
        let flaky: Int
        let leftOut: Int
        let seconds: Double
    }
}
