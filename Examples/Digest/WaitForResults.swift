import AMQP
import ArgumentParser
import Foundation
import Warren
import WarrenCommands

/// `digest wait`: returns when every job is finished.
struct WaitForResults: BrokerCommand {
    static let configuration = CommandConfiguration(
        commandName: "wait",
        abstract: "Wait until all jobs have a result or are dead, and the broker's queues are empty.",
        discussion: "The exit code is 1 if nothing changed for --patience."
    )

    @Option(help: ArgumentHelp("The file that 'enqueue --ledger' wrote.", valueName: "file"))
    var ledger: String
    @Option(help: ArgumentHelp("The folder of the workers' results.", valueName: "folder"))
    var results: String
    @Option(help: "The queue.")
    var queue = DigestFile.queue.rawValue
    @Option(help: ArgumentHelp("The longest time without any change.", valueName: "duration"))
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
                // Twice, because a job on its way between two queues of the ladder is in neither for a moment.
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
                "\(previous.finished) of \(jobs) jobs are finished, \(previous.waiting) are waiting, and nothing changes."
            )
            return false
        }
        if !isDone { throw ExitCode.failure }
    }
}

/// The number of jobs that the broker still holds.
struct BrokerQueues {
    /// Jobs in the work queue, in the parking-lot queue, on the delay ladder, or undeliverable from it.
    var waiting: Int
    /// Jobs in the dead queue.
    var dead: Int

    var areEmpty: Bool { waiting == 0 }

    /// Counts the jobs now.
    static func look(_ queue: QueueName, at broker: any Transport) async throws -> BrokerQueues {
        let lanes = try await Digest.topology.status(of: [queue], on: broker)
        let ladder = try await DelayLadder.status(on: broker)
        let dead = lanes.filter { $0.name == queue.dead }
        let others = lanes.filter { $0.name != queue.dead } + ladder
        return BrokerQueues(
            waiting: others.map(\.ready).reduce(0, +),
            dead: dead.map(\.ready).reduce(0, +)
        )
    }
}
