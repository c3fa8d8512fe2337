import AMQP
import Foundation
import RabbitMQ
import TestSupport
import Testing
import Warren

@Suite(.broker(.embedded, .rabbitMQ), .timeLimit(.minutes(2)))
struct EnqueueingOnBrokerTests {
    struct Greet: Job, Equatable {
        static let name = "greet"
        static let queue: QueueName = "unused"

        var whom: String
    }

    private let job = Greet(whom: "Ada 👋 / Söhne")

    @Test func `A job arrives in its lane's queue as it was sent`() async throws {
        try await withJobs { jobs, client, queue in
            let handle = try await jobs.enqueue(job, lane: .high, queue: queue, headers: ["tenant": "acme"])
            let delivery = try await #require(client.get(queue: "\(queue).high"))
            #expect(delivery.destination == Destination(exchange: jobs.application, routingKey: "\(queue).high"))
            let envelope = try Envelope(decoding: delivery.message)
            #expect(envelope.id == handle.id)
            #expect(envelope.headers["tenant"] == "acme")
            #expect(try envelope.payload(as: Greet.self) == job)
            delivery.ack()
        }
    }

    @Test
    func
        `A delayed job comes down the ladder, less than a second before it is due: the rest is the worker's to wait out`()
        async throws
    {
        try await withJobs { jobs, client, queue in
            // The first job makes the queue exist.
            try await jobs.enqueue(job, queue: queue)
            let deliveries = try await client.consume(queue: queue.rawValue, prefetch: 10, arguments: [:])
            var reader = deliveries.makeAsyncIterator()
            try await #require(reader.next()).ack()
            let handle = try await jobs.enqueue(job, delay: .seconds(2), queue: queue)
            let delivery = try await #require(reader.next())
            let due = try #require(handle.dueAt)
            // The ladder gets the whole seconds that are left when the job is sent, which may be after the ladder was
            // declared.
            #expect(Date() > due - 1)
            #expect(DelayLadder.destination(fromRoutingKey: delivery.destination.routingKey) == queue.rawValue)
            let envelope = try Envelope(decoding: delivery.message)
            #expect(envelope.id == handle.id)
            #expect(envelope.headers["x-death"] != nil)
            let retried = envelope.retried(after: .zero, error: JobFailure.permanent("no"), worker: "w", now: due)
            #expect(retried.properties.headers?["x-death"] == nil)
            delivery.ack()
            await deliveries.cancel(requeuesUnsettled: true)
        }
    }

    @Test func `A retried message goes through the broker with its history`() async throws {
        try await withJobs { jobs, client, queue in
            try await jobs.enqueue(job, queue: queue)
            for attempt in 1...25 {
                let delivery = try await #require(client.get(queue: queue.rawValue))
                let envelope = try Envelope(decoding: delivery.message)
                #expect(envelope.attempt == attempt)
                let failure = JobFailure.permanent(String(repeating: "😀", count: 20_000))
                let message = envelope.retried(after: .zero, error: failure, worker: "w", now: Date())
                try await client.publish(
                    message,
                    to: .queue(queue.rawValue),
                    mandatory: true,
                    deadline: .now + .seconds(60)
                )
                delivery.ack()
            }
            let delivery = try await #require(client.get(queue: queue.rawValue))
            #expect(FailureRecord(headers: delivery.message.properties.headers ?? [:]).failures == 25)
            delivery.ack()
        }
    }

    @Test func `A queue that was deleted is declared again`() async throws {
        try await withJobs { jobs, client, queue in
            try await jobs.enqueue(job, queue: queue)
            try await client.deleteQueue(queue.rawValue)
            try await jobs.enqueue(job, queue: queue)
            #expect(try await client.status(ofQueue: queue.rawValue).messageCount == 1)
        }
    }

    @Test func `Without declaring, a missing exchange and then a missing queue are reported`()
        async throws
    {
        try await withJobs(declaresTopology: false) { jobs, client, queue in
            let noExchange = await #expect(throws: WarrenError.self) { try await jobs.enqueue(job, queue: queue) }
            #expect(noExchange?.code == .notEnqueued)
            #expect(noExchange?.broker?.code == .notFound)
            try await client.declare(ExchangeDeclaration(jobs.application, kind: .topic))
            let noQueue = await #expect(throws: WarrenError.self) { try await jobs.enqueue(job, queue: queue) }
            #expect(noQueue?.broker?.code == .unroutable)
            #expect(noQueue?.outcomeIsKnown == true)
        }
    }

    @Test func `The largest payload goes through, and one byte more is refused before it is sent`() async throws {
        try await withJobs { jobs, client, queue in
            let frame = try Envelope(encoding: Greet(whom: ""), now: Date()).message.body.count
            let text = String(repeating: "x", count: Message.maximumBodySize - frame)
            try await jobs.enqueue(Greet(whom: text), queue: queue)
            let delivery = try await #require(client.get(queue: queue.rawValue))
            #expect(delivery.message.body.count == Message.maximumBodySize)
            delivery.ack()
            let error = await #expect(throws: WarrenError.self) {
                try await jobs.enqueue(Greet(whom: text + "x"), queue: queue)
            }
            #expect(error?.code == .payloadTooLarge)
        }
    }

    @Test func `A queue that exists with other arguments still takes jobs`() async throws {
        try await withJobs { jobs, client, queue in
            try await client.declare(QueueDeclaration(queue.rawValue, arguments: QueueArguments(.classic)))
            try await jobs.enqueue(job, queue: queue)
            #expect(try await client.status(ofQueue: queue.rawValue).messageCount == 1)
        }
    }

    @Test func `Without a broker, enqueueing fails with a retriable error`() async throws {
        let jobs = JobClient(try RabbitMQClient(url: "amqp://guest:guest@127.0.0.1:1/"))
        let error = await #expect(throws: WarrenError.self) {
            // Nothing listens, which is known at once: no deadline ends this.
            try await jobs.enqueue(job, queue: "nowhere", timeout: .seconds(3_600))
        }
        #expect(error?.broker?.code == .connectionFailed)
        #expect(error?.isRetriable == true)
        #expect(error?.outcomeIsKnown == true)
    }
}

/// A job client whose application, and so whose exchanges, no other test uses.
private struct Jobs {
    let application: String
    let client: JobClient

    @discardableResult
    func enqueue(
        _ job: some Job,
        delay: Duration? = nil,
        lane: Lane? = nil,
        queue: QueueName,
        headers: FieldTable = FieldTable()
    ) async throws -> EnqueuedJob {
        try await client.enqueue(job, delay: delay, lane: lane, queue: queue, headers: headers)
    }
}

/// Runs `body` with a job client, a plain one, and a queue's name; deletes afterwards what they may have declared.
private func withJobs(
    declaresTopology: Bool = true,
    _ body: (Jobs, any Transport, QueueName) async throws -> Void
) async throws {
    try await withTransport { client in
        let queue = QueueName(TestBroker.uniqueName("jobs"))
        let application = TestBroker.uniqueName("application")
        let topology = Topology(application: application, queues: [QueueConfiguration(queue, lanes: Lane.all)])
        let jobs = Jobs(
            application: application,
            client: JobClient(client, topology: topology, declaresTopology: declaresTopology)
        )
        let result: Result<Void, any Error>
        do { result = .success(try await body(jobs, client, queue)) } catch { result = .failure(error) }
        for name in Lane.all.map({ $0.queue(of: queue) }) + [queue.dead, queue.parked] {
            _ = try? await client.deleteQueue(name)
        }
        for name in [application, application + ".dead"] { try? await client.deleteExchange(name) }
        try result.get()
    }
}
