import AMQP
import Brokers
import Logging
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
