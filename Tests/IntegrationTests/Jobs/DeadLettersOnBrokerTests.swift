import AMQP
import Foundation
import TestSupport
import Testing
import Warren

@Suite(.broker(.embedded, .rabbitMQ), .timeLimit(.minutes(1))) struct DeadLettersOnBrokerTests {
    private func deadLetters(_ application: TestApplication) -> DeadLetters {
        DeadLetters(application.client, topology: application.topology)
    }

    @Test func `A job that can't succeed is kept with its record, can be inspected repeatedly, and runs when replayed`()
        async throws
    {
        try await TestApplication.with { application in
            let recorder = Recorder<String>()
            let failing = application.worker {
                Handler(Probe.self) { _, _ in throw JobFailure.permanent("There is no such user.") }
            }
            let handle = try await application.jobs.enqueue(Probe(number: 4), queue: application.queue)
            try await application.run(failing) { try await application.until(application.queue.dead, holds: 1) }

            let dead = deadLetters(application)
            // More often than the delivery limit that RabbitMQ 4 gives a queue that says nothing.
            for _ in 0..<25 {
                let letter = try #require(try await dead.letter(handle.id, in: application.queue))
                #expect(letter.record.reason == .permanent)
                #expect(letter.record.message == "There is no such user.")
                #expect(letter.record.history.map(\.attempt) == [1])
                #expect(letter.record.originalExchange == application.topology.exchange)
                #expect(letter.record.originalRoutingKey == application.queue.rawValue)
            }
            let report = try await dead.replay(from: application.queue)
            #expect(report.replayed == 1 && report.unroutable == 0)
            let worker = application.worker {
                Handler(Probe.self) { job, context in recorder.record("\(context.id) \(context.attempt) \(job.number)")
                }
            }
            try await application.run(worker) { #expect(await recorder.next(1) == ["\(handle.id) 1 4"]) }
            #expect(try await dead.list(in: application.queue).isEmpty)
        }
    }

    @Test(arguments: [
        ("not JSON", "not-json"), ("{}", "not-three-parts"), (#"[[], {"number": "four"}, {}]"#, "payload-mismatch"),
    ])
    func `An unreadable body is dead-lettered unchanged, with the reason`(body: String, reason: String) async throws {
        try await TestApplication.with { application in
            var message = try Envelope(encoding: Probe(number: 1), now: Date()).message
            message.body = Array(body.utf8)
            let letter = try await self.letter(of: message, application)
            #expect(letter.record.reason?.rawValue == reason)
            #expect(letter.message.body == Array(body.utf8))
        }
    }

    @Test(arguments: [("task", "missing-task"), ("id", "missing-id")])
    func `A message without a required header is dead-lettered with the reason`(
        header: String,
        reason: String
    ) async throws {
        try await TestApplication.with { application in
            var message = try Envelope(encoding: Probe(number: 1), now: Date()).message
            message.properties.headers?[header] = nil
            #expect(try await letter(of: message, application).record.reason?.rawValue == reason)
        }
    }

    /// Lets a worker meet a message that it can't run, and returns what is in the dead queue then.
    private func letter(of message: Message, _ application: TestApplication) async throws -> DeadLetter {
        let destination = Destination(exchange: application.topology.exchange, routingKey: application.queue.rawValue)
        try await application.client.publish(message, to: destination, mandatory: true, deadline: .now + .seconds(60))
        let worker = application.worker { Handler(Probe.self) { _, _ in Issue.record("It ran.") } }
        try await application.run(worker) { try await application.until(application.queue.dead, holds: 1) }
        return try #require(try await deadLetters(application).list(in: application.queue).first)
    }

    @Test func `A job without a handler is parked, and returns to its queue once a worker has one`() async throws {
        try await TestApplication.with { application in
            let handles = try await (1...3).asyncMap { number in
                try await application.jobs.enqueue(Probe(number: number), queue: application.queue)
            }
            try await application.run(application.worker {}) {
                try await application.until(application.queue.parked, holds: 3)
            }
            #expect(try await application.ready(application.queue.rawValue) == 0)

            let recorder = Recorder<String>()
            let worker = application.worker { Handler(Probe.self) { _, context in recorder.record(context.id) } }
            try await application.run(worker) { #expect(await Set(recorder.next(3)) == Set(handles.map(\.id))) }
            #expect(try await application.ready(application.queue.parked) == 0)
        }
    }

    @Test func `A job that the broker dead-letters at its delivery limit is listed with the broker's reason`()
        async throws
    {
        try await TestApplication.with(declaresTopology: false) { application in
            var topology = application.topology
            topology.queues[0].deliveryLimit = 2
            _ = try await topology.plan(broker: application.client.broker().version).apply(to: application.client)
            let handle = try await application.jobs.enqueue(Probe(number: 1), queue: application.queue)
            for _ in 0..<3 {
                let delivery = try #require(try await application.client.get(queue: application.queue.rawValue))
                delivery.reject(requeue: true)
                try await waitForReturn(application)
            }
            let letter = try #require(try await deadLetters(application).letter(handle.id, in: application.queue))
            #expect(letter.record.reason?.rawValue == "broker-delivery_limit")
            #expect(try await deadLetters(application).replay(from: application.queue).replayed == 1)
            try await application.until(application.queue.rawValue, holds: 1)
        }
    }

    /// Waits until a rejected message is ready again, in one queue or the other.
    private func waitForReturn(_ application: TestApplication) async throws {
        try await until {
            try await application.ready(application.queue.rawValue) + application.ready(application.queue.dead) > 0
        }
    }
}

extension Sequence {
    fileprivate func asyncMap<Value>(_ transform: (Element) async throws -> Value) async throws -> [Value] {
        var values: [Value] = []
        for element in self { values.append(try await transform(element)) }
        return values
    }
}
