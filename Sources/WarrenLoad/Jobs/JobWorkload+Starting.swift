import AMQP
import Foundation
import RabbitMQ
import Warren

extension JobWorkload {
    /// Starts a worker process with a job waiting, and measures how long it takes until that is done.
    func start() async throws -> Figure {
        try await prepare()
        let jobs = JobClient(client, topology: topology, declaresTopology: false, logger: logger)
        try await jobs.enqueue(NoOp(number: 0))
        let worker = try Programs.own.launch(["run", Work.firstJob.rawValue, "--url", url, "--count", "1"])
        let started = ContinuousClock.now
        let line = worker.firstLine()
        let seconds = (ContinuousClock.now - started) / .seconds(1)
        try worker.finish()
        guard line == Self.done else { throw LoadError("The worker's first line is '\(line)'.") }
        try await finish(mayLeave: false)
        return Figure(.start, count: 1, seconds: seconds)
    }

    /// The worker process of ``start()``: declares as workers do, runs one job, says so, and ends.
    func firstJob() async throws {
        _ = try await work(untilHandled: 1, concurrency: 16) { _ in
            FileHandle.standardOutput.write(Data("\(Self.done)\n".utf8))
        }
        await client.close()
    }

    private static let done = "done"
}
