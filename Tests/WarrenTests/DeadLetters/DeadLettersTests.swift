import AMQP
import EmbeddedBroker
import Foundation
import TestSupport
import Testing

@testable import Warren

@Suite(.timeLimit(.minutes(1))) struct DeadLettersTests {
    private let harness: WorkerHarness
    private let dead: DeadLetters

    init() async throws {
        let harness = try await WorkerHarness(lanes: [.high])
        self.harness = harness
        dead = DeadLetters(harness.broker, topology: harness.topology, clock: harness.clock, now: { harness.now })
    }

    @discardableResult
    private func bury(
        _ number: Int,
        _ reason: DeadReason = .permanent,
        saying text: String = "No.",
        key: String = "probes",
        at date: Date? = nil
    ) async throws -> String {
        let date = date ?? harness.now
        let envelope = try Envelope(encoding: Probe(number: number), now: date)
        let record = FailureRecord(
            reason: reason,
            error: JobFailure.permanent(text),
            message: envelope.message,
            attempt: 3,
            origin: Destination(exchange: "warren", routingKey: key),
            worker: "tester",
            now: date
        )
        let message = Envelope.deadLetter(envelope.message, record: record)
        let destination = Destination(exchange: "warren.dead", routingKey: "probes")
        try await harness.broker.embedded.publish(message, to: destination)
        return envelope.id
    }

    @Test func `Listing shows the letters and leaves them in their order`() async throws {
        var ids: [String] = []
        for number in 1...5 { ids.append(try await bury(number)) }
        let letters = try await dead.list(in: "probes")
        #expect(letters.map(\.id) == ids)
        #expect(letters.map(\.name) == Array(repeating: "tests.probe", count: 5))
        #expect(harness.ready("probes.dead").count == 5)
        #expect(harness.unsettled == 0)
        #expect(try await dead.list(in: "probes", limit: 2).count == 2)
        #expect(try await dead.letter(ids[3], in: "probes")?.id == ids[3])
        #expect(try await dead.letter("nobody", in: "probes") == nil)
    }

    @Test func `Filters select by name, reason, age and text, and all conditions must match`() async throws {
        let old = try await bury(1, .permanent, saying: "Timeout of the mail service", at: harness.now - 1_000)
        let new = try await bury(2, .attemptsExhausted, saying: "No such user")
        func ids(_ filter: DeadLetterFilter) async throws -> [String?] {
            try await dead.list(in: "probes", where: filter).map(\.id)
        }
        #expect(try await ids(.init(reason: .permanent)) == [old])
        #expect(try await ids(.init(text: "MAIL")) == [old])
        #expect(try await ids(.init(diedSince: harness.now - 100)) == [new])
        #expect(try await ids(.init(diedBefore: harness.now - 100)) == [old])
        #expect(try await Set(ids(.init(name: "tests.probe"))) == [old, new])
        #expect(try await ids(.init(reason: .permanent, text: "user")) == [])
        #expect(try await ids(.init(name: "tests.other")) == [])
    }

    @Test func `Replay returns jobs to their original queue, with their ids, all attempts and no record`()
        async throws
    {
        let id = try await bury(1, key: "probes.high")
        try await bury(2, .attemptsExhausted)
        let report = try await dead.replay(from: "probes", where: .init(reason: .permanent))
        #expect(report == ReplayReport(replayed: 1, unroutable: 0))
        let back = try #require(harness.ready("probes.high").first)
        let envelope = try Envelope(decoding: back)
        #expect(envelope.id == id)
        #expect(envelope.attempt == 1)
        #expect(!back.properties.headers.debugDescription.contains("warren-dead"))
        #expect(harness.ready("probes.dead").count == 1)
        #expect(harness.acknowledged == 1)
    }

    @Test func `A job that came down the ladder is replayed to its queue at once`() async throws {
        let key = try #require(DelayLadder.route(.seconds(300), to: "probes")).routingKey
        try await bury(1, key: key)
        _ = try await dead.replay(from: "probes")
        #expect(harness.ready("probes").count == 1)
    }

    @Test func `A job that the broker dead-lettered is replayed to its lane`() async throws {
        try await harness.enqueue(1, lane: .high)
        for _ in 0...100 {
            let delivery = try #require(try await harness.broker.get(queue: "probes.high"))
            delivery.reject(requeue: true)
        }
        #expect(harness.ready("probes.dead").first?.properties.headers?["x-death"] != nil)
        #expect(try await dead.list(in: "probes").map(\.record.reason?.rawValue) == ["broker-delivery_limit"])
        #expect(try await dead.replay(from: "probes").replayed == 1)
        let back = try #require(harness.ready("probes.high").first)
        #expect(back.properties.headers?["x-death"] == nil)
    }

    @Test func `A job that no queue accepts any more stays dead and is counted`() async throws {
        try await bury(1, key: "gone")
        let report = try await dead.replay(from: "probes")
        #expect(report == ReplayReport(replayed: 0, unroutable: 1))
        #expect(harness.ready("probes.dead").count == 1)
    }

    @Test func `A replay that fails half-way has lost nothing`() async throws {
        for number in 1...3 { try await bury(number) }
        harness.broker.fail { $0.publishing.next = [AMQPError(.connectionLost, "Gone.")] }
        let error = await #expect(throws: WarrenError.self) {
            try await dead.replay(from: "probes")
        }
        #expect(error?.code == .deadLettersFailed)
        #expect(harness.ready("probes.dead").count == 3)
        #expect(harness.unsettled == 0)
    }

    @Test func `A replay obeys its limit and its rate`() async throws {
        for number in 1...4 { try await bury(number) }
        async let report = dead.replay(from: "probes", limit: 3, perSecond: 2)
        for replayed in 1...2 {
            try await harness.untilDue(in: .milliseconds(500))
            #expect(harness.ready("probes").count == replayed)
            harness.clock.advance(by: .milliseconds(500))
        }
        #expect(try await report.replayed == 3)
        #expect(harness.ready("probes.dead").count == 1)
    }

    @Test func `Discarding deletes the letters that match the filter, and no others`() async throws {
        try await bury(1, .permanent)
        try await bury(2, .attemptsExhausted)
        let count = try await dead.discard(from: "probes", where: .init(reason: .permanent))
        #expect(count == 1)
        #expect(harness.ready("probes.dead").count == 1)
    }

    @Test func `A queue that was never declared is named in the error`() async throws {
        let error = await #expect(throws: WarrenError.self) { try await dead.list(in: "nobody") }
        #expect(error?.message.contains("nobody.dead") == true)
    }
}
