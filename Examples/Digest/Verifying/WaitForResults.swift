import ArgumentParser
import Foundation
import Warren
import WarrenCommands

/// `digest wait`: returns when every job has come to an end.
struct WaitForResults: BrokerCommand {
    static let configuration = CommandConfiguration(
        commandName: "wait",
        abstract: "Wait until all jobs have a result or are dead, and the broker's queues are empty.",
        discussion: "The exit code is 1 if nothing changed for as long as --patience says."
    )

    @Option(help: ArgumentHelp("What 'enqueue' wrote down.", valueName: "file"))
    var ledger: String
    @Option(help: ArgumentHelp("The folder of the workers' results.", valueName: "folder"))
    var results: String
    @Option(help: "The queue.")
    var queue = DigestFile.queue.rawValue
    @Option(help: ArgumentHelp("How long nothing may change.", valueName: "duration"))
    var patience = DurationArgument(.seconds(60))
    @OptionGroup var brokerOptions: BrokerOptions

    func run() async throws {
        let jobs = try JSONLines.read(LedgerEntry.self, path: ledger).count
        let isDone = try await brokerOptions.withBroker(as: "digest wait", of: Digest.self) { broker in
            var folder = ResultsFolder(results)
            var bar = ProgressBar("finished", total: jobs)
            var previous = (finished: -1, waiting: -1)
            var changed = ContinuousClock.now
            while ContinuousClock.now - changed < patience.duration {
                let queues = try await BrokerQueues.look(QueueName(queue), at: broker)
                try folder.readMore()
                let finished = folder.jobs.count + queues.dead
                // Twice, because between two queues of the ladder a job is in neither for a moment.
                if finished >= jobs, queues.areEmpty, previous == (finished, 0) {
                    bar.finish(finished)
                    return true
                }
                if previous != (finished, queues.waiting) { changed = .now }
                previous = (finished, queues.waiting)
                bar.show(finished)
                try await Task.sleep(for: .milliseconds(300))
            }
            bar.finish(previous.finished)
            Output.note(
                "\(previous.finished) of \(jobs) jobs are finished, \(previous.waiting) wait, and nothing changes."
            )
            return false
        }
        if !isDone { throw ExitCode.failure }
    }
}
