import AMQP
import EmbeddedBroker
import Foundation
import Logging
import ServiceLifecycle
import TestSupport
import Testing

@testable import Warren

@Suite(.timeLimit(.minutes(1))) struct SpoolingTests {
    private let transport = FaultyBroker()
    private let storage = MemoryStorage()
    private let away = AMQPError(.connectionFailed, "Nothing answers.")

    private func client(limit: Int = 1 << 20) throws -> JobClient {
        let queues = [QueueConfiguration("chores", lanes: Lane.all)]
        return JobClient(
            transport,
            topology: Topology(queues: queues),
            spool: try spool(limit: limit),
            clock: VirtualClock(),
            now: { noon }
        )
    }

    private func spool(limit: Int = 1 << 20) throws -> Spool {
        try Spool(
            storage,
            path: "a.spool",
            limit: limit,
            logger: .quiet
        )
    }

    private func email(_ number: Int) -> SendEmail { SendEmail(to: "a@b.c", subject: "\(number)") }

    private var ids: [String?] { transport.published.map(\.message.properties.messageID) }

    @Test(
        arguments: [
            .blocked, .deadlineExceeded, .confirmTimedOut, .connectionFailed, .connectionClosed, .connectionLost,
            .channelLost,
            .nacked,
        ] as [AMQPError.Code]
    ) func `A job that the broker may take later is spooled and sent with the same id`(
        code: AMQPError.Code
    ) async throws {
        let client = try client()
        transport.fail { $0.publishing.next = [AMQPError(code, "Not now.")] }
        let handle = try await client.enqueue(email(1))
        #expect(handle.isSpooled)
        #expect(client.spool?.status.waiting == 1)
        try await client.flushSpool()
        #expect(ids == [handle.id, handle.id])
        #expect(transport.published[0].message == transport.published[1].message)
        #expect(transport.published[0].destination == transport.published[1].destination)
        let status = try #require(client.spool?.status)
        #expect(status.waiting == 0)
        #expect(status.spooled == 1)
        #expect(status.replayed == 1)
        #expect(try await !client.enqueue(email(2)).isSpooled)
    }

    @Test(arguments: [.accessRefused, .messageTooLarge, .authenticationFailed, .cancelled] as [AMQPError.Code])
    func `A job that the broker will never take is an error`(code: AMQPError.Code) async throws {
        let client = try client()
        transport.fail { $0.publishing.next = [AMQPError(code, "No.")] }
        let error = try await #require(throws: WarrenError.self) { try await client.enqueue(email(1)) }
        #expect(error.broker?.code == code)
        #expect(client.spool?.status.waiting == 0)
    }

    @Test func `A job is spooled if its queue can't be declared now`() async throws {
        let client = try client()
        transport.fail { $0.declaring.always = away }
        #expect(try await client.enqueue(email(1)).isSpooled)
        transport.fail { $0.declaring.always = nil }
        try await client.flushSpool()
        #expect(transport.embedded.readyMessages(in: "emails").count == 1)
        #expect(transport.published.count == 1)
    }

    @Test func `New jobs go behind those that wait, without asking the broker, unless they are invalid`() async throws {
        let client = try client()
        transport.fail { $0.publishing.next = [away] }
        try await client.enqueue(email(0))
        for number in 1...200 { #expect(try await client.enqueue(email(number)).isSpooled) }
        #expect(transport.published.count == 1)
        let error = try await #require(throws: WarrenError.self) { try await client.enqueue(email(1), lane: .high) }
        #expect(error.code == .invalidLane)
        try await client.flushSpool()
        let subjects = try transport.published.dropFirst().map {
            try Envelope(decoding: $0.message).payload(as: SendEmail.self).subject
        }
        #expect(subjects == (0...200).map(String.init))
    }

    @Test func `A full spool is an error with the broker's reason, and loses no spooled job`() async throws {
        let client = try client(limit: 4_096)
        transport.fail { $0.publishing.next = [away] }
        var taken = 0
        let error = try await #require(throws: WarrenError.self) {
            while taken < 100 {
                try await client.enqueue(email(taken))
                taken += 1
            }
        }
        #expect(error.code == .spoolFull)
        #expect(error.message.contains("a.spool"))
        #expect(error.message.contains("4096"))
        #expect(error.broker?.code == .connectionFailed)
        #expect(error.isRetriable)
        #expect(taken > 1)
        try await client.flushSpool()
        #expect(transport.published.count == taken + 1)
    }

    @Test func `A full disk is an error, and the spooled jobs stay`() async throws {
        let client = try client()
        transport.fail { $0.publishing.next = [away] }
        try await client.enqueue(email(1))
        storage.setRoom(20)
        let error = try await #require(throws: WarrenError.self) { try await client.enqueue(email(2)) }
        #expect(error.code == .spoolFailed)
        #expect(error.message.contains("DiskFull"))
        #expect(error.broker?.code == .connectionFailed)
        storage.setRoom(nil)
        try await client.flushSpool()
        #expect(transport.published.count == 2)
    }

    @Test func `The next process sends the jobs that this one left`() async throws {
        transport.fail { $0.publishing.next = [away] }
        let handle = try await client().enqueue(email(1))
        try await client().flushSpool()
        #expect(ids == [handle.id, handle.id])
    }

    @Test func `A job that the broker refuses for good is moved aside, and holds up no other`() async throws {
        let client = try client()
        transport.fail { $0.publishing.next = [away] }
        let first = try await client.enqueue(email(1))
        try await client.enqueue(email(2))
        transport.fail { $0.publishing.next = [AMQPError(.messageTooLarge, "Too much.")] }
        try await client.flushSpool()
        let status = try #require(client.spool?.status)
        #expect((status.replayed, status.rejected, status.waiting) == (1, 1, 0))
        let line = try #require(storage.now.rejected.first)
        let rejected = try JSONDecoder().decode(RejectedEntry.self, from: Data(line))
        #expect(rejected.id == first.id)
        #expect(rejected.job == SendEmail.name)
        #expect(rejected.reason.contains("Too much."))
        #expect(try SpoolEntry(decoding: [UInt8](rejected.entry)).message == transport.published[0].message)
    }

    @Test func `A wrong password doesn't reject jobs`() async throws {
        let client = try client()
        transport.fail { $0.publishing.next = [away] }
        try await client.enqueue(email(1))
        transport.fail { $0.publishing.next = [AMQPError(.authenticationFailed, "Who?")] }
        let error = try await #require(throws: WarrenError.self) { try await client.flushSpool(timeout: .zero) }
        #expect(error.broker?.code == .authenticationFailed)
        #expect(client.spool?.status.waiting == 1)
    }

    @Test func `A delayed job waits only for the rest of its delay`() async throws {
        let route = Route(queue: "emails", lane: .normal, dueAt: noon + 60, topology: Topology())
        #expect(route.destination(now: noon).destination == DelayLadder.route(.seconds(60), to: "emails"))
        #expect(route.destination(now: noon + 50).destination == DelayLadder.route(.seconds(10), to: "emails"))
        #expect(route.destination(now: noon + 61).destination == Destination(exchange: "warren", routingKey: "emails"))
        let entry = SpoolEntry(route: route, message: Message(body: [1]))
        #expect(try SpoolEntry(decoding: entry.encoded()) == entry)
    }

    @Test func `The publish leaves part of the time to the disk`() async throws {
        let client = try client()
        let start = ContinuousClock.now
        try await client.enqueue(email(1), timeout: .seconds(60))
        let deadline = try #require(transport.published.first?.deadline)
        #expect(deadline >= start + .milliseconds(59_800))
        #expect(deadline <= .now + .milliseconds(59_800))
    }

    @Test func `Concurrent jobs share the disk's work`() async throws {
        let client = try client()
        transport.fail { $0.publishing.next = [away] }
        try await client.enqueue(email(0))
        let before = storage.now.synchronizations
        try await withThrowingTaskGroup(of: Void.self) { group in
            for number in 1...500 { group.addTask { try await client.enqueue(email(number)) } }
            try await group.waitForAll()
        }
        #expect(client.spool?.status.waiting == 501)
        #expect(storage.now.synchronizations - before < 500)
    }

    @Test func `The replayer sends jobs as they are spooled, and ends at graceful shutdown`() async throws {
        let client = try client()
        let clock = VirtualClock()
        transport.fail { $0.publishing.next = [away, away, away] }
        let logger = Logger.quiet
        let group = ServiceGroup(services: [SpoolReplayer(client, clock: clock)], logger: logger)
        try await withThrowingTaskGroup(of: Void.self) { tasks in
            tasks.addTask { try await group.run() }
            let handle = try await client.enqueue(email(1))
            #expect(handle.isSpooled)
            for failures in 2...3 {
                try await until { ids.count == failures && clock.isPausing }
                #expect(client.spool?.status.waiting == 1)
                clock.advanceToNextEvent()
            }
            try await until { client.spool?.status.replayed == 1 }
            #expect(ids.last == handle.id)
            #expect(ids.count == 4)
            await group.triggerGracefulShutdown()
            try await tasks.waitForAll()
        }
    }

    @Test func `The replayer beside a program ends with it`() async throws {
        let client = try client()
        transport.fail { $0.publishing.next = [away] }
        func program() async throws {
            async let _ = client.replayer.run()
            try await client.enqueue(email(1))
            try await until { client.spool?.status.waiting == 0 }
        }
        try await program()
        #expect(client.spool?.status.replayed == 1)
    }
}

extension VirtualClock {
    /// Whether a sleeper wakes earlier than after the year that a replayer without work sleeps.
    fileprivate var isPausing: Bool { nextEvent.map { $0.offset - now.offset < .seconds(10) } ?? false }
}
