import AMQP
import Foundation
import TestSupport
import Testing
import Warren

@Suite(.broker(.embedded, .rabbitMQ), .timeLimit(.minutes(1))) struct DelayTests {
    @Test func `The ladder delivers after 1, 2, 3 and 5 seconds, none early, to the right queue and no other`()
        async throws
    {
        try await TestApplication.with { application in
            // A destination that ends like the other.
            let other = "eu." + application.queue.rawValue
            try await application.client.declare(QueueDeclaration(other, arguments: QueueArguments(.classic)))
            defer { Task { try? await application.client.deleteQueue(other) } }
            try await application.client.bind(DelayLadder.binding(for: other))
            let stream = try await application.client.consume(
                queue: application.queue.rawValue,
                prefetch: 10,
                arguments: [:]
            )
            let start = ContinuousClock.now
            let delays = [3, 1, 5, 2]
            for seconds in delays {
                let route = try #require(DelayLadder.route(.seconds(seconds), to: application.queue.rawValue))
                let message = Message(body: Array(String(seconds).utf8))
                try await application.client.publish(message, to: route, mandatory: true, deadline: .now + .seconds(60))
            }
            var iterator = stream.makeAsyncIterator()
            // Not in this order on a machine that took a second to publish them.
            var arrived: [Int] = []
            for _ in delays {
                let delivery = try #require(try await iterator.next())
                let elapsed = ContinuousClock.now - start
                let seconds = try #require(Int(String(decoding: delivery.message.body, as: UTF8.self)))
                arrived.append(seconds)
                #expect(elapsed >= .seconds(seconds))
                #expect(delivery.levelsWaitedIn == (0..<3).filter { seconds >> $0 & 1 == 1 }.map(DelayLadder.name))
                #expect(
                    DelayLadder.destination(fromRoutingKey: delivery.destination.routingKey)
                        == application.queue.rawValue
                )
                delivery.ack()
            }
            #expect(arrived.sorted() == delays.sorted())
            #expect(try await application.ready(other) == 0)
            await stream.cancel(requeuesUnsettled: true)
        }
    }

    @Test func `A delayed message without a bound destination ends in the unrouted queue`() async throws {
        try await TestApplication.with { application in
            let before = try await application.ready(DelayLadder.unroutedName)
            let route = try #require(DelayLadder.route(.seconds(1), to: TestBroker.uniqueName("nobody")))
            try await application.client.publish(
                Message(body: []),
                to: route,
                mandatory: true,
                deadline: .now + .seconds(60)
            )
            try await application.until(DelayLadder.unroutedName, holds: before + 1)
            let delivery = try #require(try await application.client.get(queue: DelayLadder.unroutedName))
            delivery.ack()
        }
    }

    @Test func `A failed job returns through the ladder with its id and its attempt count`() async throws {
        try await TestApplication.with { application in
            let recorder = Recorder<(id: String, attempt: Int, time: ContinuousClock.Instant)>()
            let worker = application.worker {
                Handler(Probe.self) { _, context in
                    recorder.record((context.id, context.attempt, .now))
                    if context.attempt < 3 { throw ProbeError() }
                }
            }
            try await application.run(worker) {
                let handle = try await application.jobs.enqueue(Probe(number: 1), queue: application.queue)
                let runs = await recorder.next(3)
                #expect(runs.map(\.id) == Array(repeating: handle.id, count: 3))
                #expect(runs.map(\.attempt) == [1, 2, 3])
                for (one, next) in zip(runs, runs.dropFirst()) { #expect(next.time - one.time >= .seconds(1)) }
            }
            #expect(worker.counts.retried == 2)
            #expect(worker.counts.succeeded == 1)
            #expect(try await application.ready(application.queue.rawValue) == 0)
        }
    }

    @Test func `A delayed job isn't early by even a fraction of a second`() async throws {
        try await TestApplication.with { application in
            let recorder = Recorder<ContinuousClock.Instant>()
            let worker = application.worker { Handler(Probe.self) { _, _ in recorder.record(.now) } }
            try await application.run(worker) {
                let start = ContinuousClock.now
                _ = try await application.jobs.enqueue(
                    Probe(number: 1),
                    delay: .milliseconds(1_600),
                    queue: application.queue
                )
                let elapsed = try #require(await recorder.next(1).first) - start
                #expect(elapsed >= .milliseconds(1_595))
            }
        }
    }

    @Test func `An expired job isn't run, and is kept with its reason`() async throws {
        try await TestApplication.with { application in
            let worker = application.worker { Handler(Probe.self) { _, _ in Issue.record("It ran.") } }
            let message = try Envelope(encoding: Probe(number: 1), expires: Date() - 1, now: Date() - 2).message
            try await application.client.publish(
                message,
                to: .queue(application.queue.rawValue),
                mandatory: true,
                deadline: .now + .seconds(60)
            )
            try await application.run(worker) { try await application.until(application.queue.dead, holds: 1) }
            let letters = try await DeadLetters(application.client, topology: application.topology).list(
                in: application.queue
            )
            #expect(letters.map(\.record.reason) == [.expired])
        }
    }
}

extension Delivery {
    /// The queues of the ladder in which the message expired, the shortest delay first: how long it was delayed in all.
    fileprivate var levelsWaitedIn: [String] {
        let deaths = message.properties.headers?["x-death"]?.arrayValue ?? []
        return deaths.compactMap { $0.tableValue?["queue"]?.stringValue }.sorted()
    }
}
