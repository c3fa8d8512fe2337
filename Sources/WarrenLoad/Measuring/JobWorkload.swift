import AMQP
import Brokers
import Foundation
import Logging
import RabbitMQ
import Synchronization
import Warren

/// The measurements of jobs, on a quorum queue of an application of its own.
struct JobWorkload {
    let url: String
    let client: any Transport
    let count: Int
    let topology = Topology(application: "warren-load")
    let logger: Logger

    init(_ url: String, _ count: Int) async throws {
        self.url = url
        self.count = count
        client = try await Broker.open(url)
        logger = Logger(label: "warren-load") { label in
            var handler = StreamLogHandler.standardError(label: label)
            handler.logLevel = .warning
            return handler
        }
    }

    /// Enqueues typed jobs, each confirmed, with as many callers as `Load.callers`.
    func enqueue() async throws -> Figure {
        try await prepare()
        let start = Stopwatch()
        try await enqueueAll()
        let end = Stopwatch()
        try await finish()
        return Figure(.enqueue, count: count, from: start, to: end)
    }

    /// Declares the queues anew, empty, without the delay ladder, which no measurement uses.
    func prepare() async throws {
        try await deleteQueues()
        let plan = topology.plan(for: [NoOp.queue], delays: false, broker: try await client.broker().version)
        _ = try await plan.apply(to: client)
    }

    func enqueueAll() async throws {
        let jobs = JobClient(client, topology: topology, declaresTopology: false, logger: logger)
        try await withThrowingDiscardingTaskGroup { group in
            for caller in 0..<Load.callers {
                let numbers = stride(from: caller, to: count, by: Load.callers)
                group.addTask {
                    for number in numbers { try await jobs.enqueue(NoOp(number: number)) }
                }
            }
        }
    }

    /// Takes the queues away again.
    ///
    /// What came back to the queue is said and no failure: a channel that closes may lose acknowledgements it has just been sent.
    func finish(mayLeave: Bool = true) async throws {
        let left = try await client.status(ofQueue: NoOp.queue.rawValue).messageCount
        let dead = try await client.status(ofQueue: NoOp.queue.dead).messageCount
        try await deleteQueues()
        try await client.deleteExchange(topology.exchange)
        try await client.deleteExchange(topology.deadExchange)
        await client.close()
        guard dead == 0 else { throw LoadError("\(dead) jobs are dead.") }
        if left > 0 && !mayLeave { Surroundings.say("\(left) jobs came back to the queue and would be repeated.") }
    }

    private func deleteQueues() async throws {
        for queue in [NoOp.queue.rawValue, NoOp.queue.dead, NoOp.queue.parked] {
            try await client.deleteQueue(queue)
        }
    }
}

extension JobWorkload {
    /// Runs what was enqueued before, in one worker, each job acknowledged when its handler has returned.
    func execute() async throws -> Figure {
        try await prepare()
        try await enqueueAll()
        let start = Stopwatch()
        let end = try await work(untilHandled: count) { _ in }
        try await finish(mayLeave: false)
        return Figure(.execute, count: count, from: start, to: end)
    }

    /// Runs a worker until its handler was called so many times, and tells when that was.
    func work(
        untilHandled count: Int,
        concurrency: Int = Load.callers,
        beside other: @escaping @Sendable () async throws -> Void = {},
        handle: @escaping @Sendable (NoOp) -> Void
    ) async throws -> Stopwatch {
        let countdown = Countdown(from: count)
        let worker = Worker(
            client,
            queues: [WorkerQueue(NoOp.queue, concurrency: concurrency, prefetch: Load.prefetch)],
            topology: topology,
            settings: WorkerSettings(declaresTopology: false),
            logger: logger
        ) {
            Handler(NoOp.self) { job, _ in
                handle(job)
                countdown.countOne()
            }
        }
        return try await withThrowingTaskGroup(of: Stopwatch?.self) { group in
            group.addTask {
                try await worker.run()
                return nil
            }
            group.addTask {
                try await other()
                await countdown.reached()
                return Stopwatch()
            }
            guard let end = try await group.next() ?? nil else { throw LoadError("The worker ended by itself.") }
            group.cancelAll()
            try await group.waitForAll()
            return end
        }
    }
}

extension JobWorkload {
    /// Enqueues jobs at a steady rate, and measures for each how long it takes from the call of `enqueue` to the start of its handler.
    func latency() async throws -> Figure {
        try await prepare()
        let jobs = JobClient(client, topology: topology, declaresTopology: false, logger: logger)
        let zero = ContinuousClock.now
        let latencies = Mutex<[Double]>([])
        _ = try await work(
            untilHandled: count,
            concurrency: 16,
            beside: {
                try await withThrowingDiscardingTaskGroup { group in
                    for number in 0..<count {
                        try await Task.sleep(until: zero + .seconds(1) * number / Load.jobsPerSecond, tolerance: .zero)
                        group.addTask { try await jobs.enqueue(NoOp(number: zero.nanosecondsUntilNow)) }
                    }
                }
            },
            handle: { job in
                let latency = Double(zero.nanosecondsUntilNow - job.number) / 1e6
                latencies.withLock { $0.append(latency) }
            }
        )
        try await finish(mayLeave: false)
        return Figure(.latency, count: count, latenciesInMilliseconds: latencies.withLock { $0 })
    }
}

extension ContinuousClock.Instant {
    fileprivate var nanosecondsUntilNow: Int { Int((ContinuousClock.now - self) / .nanoseconds(1)) }
}

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

/// The job that is measured: a typed payload, and nothing to do.
struct NoOp: Job {
    static let name = "warren-load.no-op"
    static let queue: QueueName = "warren-load"

    var number: Int
    var text: String

    /// A job whose message has a body of about the size of the C program's, whatever the number.
    init(number: Int) {
        self.number = number
        text = Self.filling
    }

    /// `[[],{"number":…,"text":"…"},{"callbacks":null,…}]` has some 95 bytes beside the text.
    private static let filling = String(repeating: "x", count: Load.bodySize - 95)
}

/// Counts down to zero from any number of tasks; one task waits for it.
final class Countdown: Sendable {
    private let left: Atomic<Int>
    private let ends: AsyncStream<Void>
    private let end: AsyncStream<Void>.Continuation

    init(from count: Int) {
        left = Atomic(count)
        (ends, end) = AsyncStream.makeStream()
    }

    func countOne() {
        if left.subtract(1, ordering: .acquiringAndReleasing).newValue == 0 { end.finish() }
    }

    func reached() async {
        for await _ in ends {}
    }
}
