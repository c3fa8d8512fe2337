import AMQP
import ArgumentParser
import Foundation
import Warren
import WarrenCommands

/// `digest enqueue`: enqueues a job for each file.
struct EnqueueFolder: BrokerCommand {
    static let configuration = CommandConfiguration(
        commandName: "enqueue",
        abstract: "Enqueue a job for each regular file below a folder.",
        discussion: """
            Symbolic links are not followed. Files that cannot be read, and names that are not UTF-8, are \
            left out and reported.

            With --json the last line is an object: enqueued, planted, flaky, leftOut, seconds.
            """
    )

    @Argument var folder: String
    @Option(
        help: ArgumentHelp("The share of files, from 0 to 1, whose first one or two attempts fail.", valueName: "share")
    )
    var flaky = 0.0
    @Option(help: ArgumentHelp("The number of planted jobs, which never succeed.", valueName: "count"))
    var poison = 0
    @Option(help: "The queue.")
    var queue = DigestFile.queue.rawValue
    @Option(help: "The most jobs that wait for the broker's confirm at a time.")
    var inFlight = 128
    @Option(help: ArgumentHelp("A file that gets a line of JSON for each confirmed job.", valueName: "file"))
    var ledger: String?
    @OptionGroup var output: OutputOptions
    @OptionGroup var brokerOptions: BrokerOptions

    func validate() throws {
        guard (0...1).contains(flaky) else { throw ValidationError("--flaky must be from 0 to 1.") }
        guard poison >= 0, (1...10_000).contains(inFlight) else {
            throw ValidationError("--poison must be at least 0, and --in-flight from 1 to 10,000.")
        }
    }

    func run() async throws {
        let began = ContinuousClock.now
        let walk = try FolderWalk(folder)
        for (path, problem) in walk.problems {
            Output.note("left out, \(problem.rawValue): \(path.description.debugDescription)")
        }
        let plan = FaultPlan(flaky: flaky, poison: poison)
        let real = walk.files.enumerated().map { DigestFile(path: $1, failures: plan.failures(ofFile: $0)) }
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
                "\(report.enqueued) jobs enqueued in \(report.seconds) s; \(report.flaky) fail at first, "
                    + "\(report.planted) every time."
            )
        }
    }

    /// Sends all jobs, at most ``inFlight`` unconfirmed at a time, and records each confirmed one in the ledger.
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

    /// Distributes a few elements evenly among many.
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

/// The jobs that fail on purpose, chosen by the order of files alone, so that each run of a folder is the same.
struct FaultPlan {
    /// The share of files whose first attempts fail, from 0 to 1, spread evenly over all files.
    let flaky: Double
    /// The number of planted jobs, which cannot succeed.
    let poison: Int

    /// The number of first attempts that fail for a file, by its place in the order of files.
    ///
    /// One attempt fails for most flaky files and two for every fourth of them; `nil` means none.
    func failures(ofFile number: Int) -> Int? {
        let flakyBefore = Int(Double(number) * flaky)
        guard Int(Double(number + 1) * flaky) > flakyBefore else { return nil }
        return flakyBefore % 4 == 3 ? 2 : 1
    }

    /// The planted jobs, alternately of two kinds: the file does not exist, or every attempt fails.
    func planted(below folder: String) -> [DigestFile] {
        (0..<poison).map { number in
            let path = FilePath("\(folder)/.planted-by-digest-\(number + 1)")
            return DigestFile(path: path, failures: number % 2 == 0 ? nil : Int(Int32.max))
        }
    }
}

/// A job that the broker has confirmed: from then on, it must not get lost.
struct LedgerEntry: Codable, Sendable {
    /// The job's id.
    var job: String
    var path: FilePath
    /// True if the job was planted and cannot succeed.
    var isPlanted: Bool
    /// The time at which its enqueueing began, in seconds since 1970.
    var at: Double
}
