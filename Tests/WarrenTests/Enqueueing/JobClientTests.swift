import AMQP
import EmbeddedBroker
import Foundation
import Testing

@testable import Warren

@Suite struct JobClientTests {
    private let transport = FaultyBroker()
    private let clock = VirtualClock()
    private let email = SendEmail(to: "a@b.c", subject: "s")

    private func topology(_ lanes: [Lane]) -> Topology {
        Topology(queues: [QueueConfiguration("emails", lanes: lanes), QueueConfiguration("chores", lanes: Lane.all)])
    }

    private func client(
        lanes: [Lane] = [.normal],
        declaresTopology: Bool = true,
        middleware: [any EnqueueMiddleware] = []
    ) -> JobClient {
        JobClient(
            transport,
            topology: topology(lanes),
            middleware: middleware,
            declaresTopology: declaresTopology,
            clock: clock,
            now: { noon }
        )
    }

    @Test func `A job is published to the application's exchange with its queue as the routing key, as mandatory`()
        async throws
    {
        let handle = try await client().enqueue(email)
        let published = try #require(transport.published.first)
        #expect(transport.published.count == 1)
        #expect(published.destination == Destination(exchange: "warren", routingKey: "emails"))
        #expect(published.mandatory)
        let envelope = try Envelope(decoding: published.message)
        #expect(envelope.id == handle.id)
        #expect(envelope.eta == nil)
        #expect(try envelope.payload(as: SendEmail.self) == email)
        #expect(handle == EnqueuedJob(id: handle.id, name: "emails.send", queue: "emails", lane: .normal))
    }

    @Test func `The caller's queue, lane, id, headers and expiry override the job's`() async throws {
        let handle = try await client().enqueue(
            email,
            lane: .high,
            queue: "chores",
            expiresAt: noon + 9,
            id: "mine",
            headers: ["tenant": "acme"]
        )
        let published = try #require(transport.published.first)
        #expect(published.destination.routingKey == "chores.high")
        #expect(handle.id == "mine")
        #expect(published.message.properties.messageID == "mine")
        #expect(published.message.properties.headers?["tenant"] == "acme")
        #expect(published.message.properties.headers?["warren-lane"] == "high")
        #expect(handle.expiresAt == noon + 9)
    }

    @Test func `A job's queue, lane and time to live apply unless the caller overrides them`() async throws {
        let handle = try await client().enqueue(Tidy(), delay: .seconds(30))
        #expect(handle.queue == "chores")
        #expect(handle.lane == .low)
        #expect(handle.expiresAt == noon + 90)
    }

    @Test func `A job with a delay of seconds goes to the ladder, with its eta`() async throws {
        let handle = try await client().enqueue(email, delay: .seconds(5))
        let published = try #require(transport.published.first)
        #expect(published.destination == DelayLadder.route(.seconds(5), to: "emails"))
        #expect(published.destination.exchange == "warren.delay.v1.level-02")
        #expect(handle.dueAt == noon + 5)
        #expect(published.message.properties.headers?["eta"] == .string(WireTime.text(noon + 5)))
        #expect(published.message.properties.expiration == nil)
    }

    @Test func `A due time is a delay from now`() async throws {
        try await client().enqueue(email, at: noon + 3_600)
        #expect(transport.published.first?.destination == DelayLadder.route(.seconds(3_600), to: "emails"))
    }

    @Test func `A job with a delay below a second skips the ladder, and its eta tells the worker to wait`() async throws
    {
        try await client().enqueue(email, delay: .milliseconds(300))
        let published = try #require(transport.published.first)
        #expect(published.destination.exchange == "warren")
        #expect(published.message.properties.headers?["eta"] == .string(WireTime.text(noon + 0.3)))
        #expect(!transport.requests.exchanges.contains { $0.hasPrefix("warren.delay") })
    }

    @Test func `A delay of zero, and a time in the past, mean at once`() async throws {
        let client = client()
        for handle in [try await client.enqueue(email, delay: .zero), try await client.enqueue(email, at: noon - 100)] {
            #expect(handle.dueAt == nil)
        }
        #expect(transport.published.allSatisfy { $0.message.properties.headers?["eta"] == .void })
    }

    private var declarationCount: Int {
        let requests = transport.requests
        return requests.exchanges.count + requests.queues.count + requests.bindings.count
    }

    @Test func `Queues are declared once, and the ladder when a delay first needs it`() async throws {
        let client = client()
        try await client.enqueue(email)
        #expect(transport.requests.exchanges == ["warren", "warren.dead"])
        #expect(transport.requests.queues == ["emails.dead", "emails.parked", "emails"])
        try await client.enqueue(email)
        #expect(transport.requests.queues.count == 3)
        try await client.enqueue(email, delay: .seconds(2))
        #expect(transport.requests.queues.filter { $0.hasPrefix("warren.delay.v1.level") }.count == 28)
        #expect(transport.requests.bindings.contains(DelayLadder.binding(for: "emails")))
        let count = declarationCount
        try await client.enqueue(email, delay: .seconds(2))
        #expect(declarationCount == count)
        try await client.enqueue(Tidy(), delay: .seconds(2))
        #expect(transport.requests.queues.filter { $0.hasPrefix("warren.delay.v1.level") }.count == 28)
        #expect(transport.requests.bindings.contains(DelayLadder.binding(for: "chores.low")))
    }

    @Test func `Many first jobs at once declare the queue only once`() async throws {
        let client = client()
        try await withThrowingTaskGroup { group in
            for _ in 0..<100 {
                group.addTask { try await client.enqueue(SendEmail(to: "a", subject: "b"), delay: .seconds(1)) }
            }
            try await group.waitForAll()
        }
        #expect(transport.requests.exchanges.filter { $0 == "warren" }.count == 1)
        #expect(transport.published.count == 100)
    }

    @Test func `A client that doesn't declare only publishes`() async throws {
        _ = try await topology([.normal]).plan(broker: transport.version).apply(to: transport.embedded)
        try await client(declaresTopology: false).enqueue(email, delay: .seconds(3))
        #expect(transport.requests.exchanges.isEmpty && transport.requests.queues.isEmpty)
        #expect(transport.published.count == 1)
    }

    @Test(arguments: [AMQPError.Code.unroutable, .notFound]
    )
    func `A deleted queue is declared again, and the job is sent again, once`(code: AMQPError.Code) async throws {
        let client = client()
        try await client.enqueue(email)
        if code == .unroutable {
            try await transport.embedded.deleteQueue("emails")
        } else {
            try await transport.embedded.deleteExchange("warren")
        }
        try await client.enqueue(email)
        #expect(transport.embedded.readyMessages(in: "emails").count == (code == .unroutable ? 1 : 2))
        #expect(transport.published.count == 3)
        #expect(transport.requests.queues.filter { $0 == "emails" }.count == 2)
        transport.fail { $0.publishing.next = [AMQPError(code, "gone"), AMQPError(code, "gone")] }
        let error = await #expect(throws: WarrenError.self) { try await client.enqueue(email) }
        #expect(error?.code == .notEnqueued)
        #expect(error?.broker?.code == code)
    }

    @Test(arguments: [AMQPError.Code.unroutable, .notFound]
    )
    func `A client that doesn't declare throws if a job can't reach its queue`(code: AMQPError.Code) async throws {
        if code == .unroutable {
            try await transport.embedded.declare(ExchangeDeclaration("warren", kind: .topic))
        }
        let error = await #expect(throws: WarrenError.self) { try await client(declaresTopology: false).enqueue(email) }
        #expect(error?.code == .notEnqueued)
        #expect(error?.broker?.code == code)
        #expect(transport.published.count == 1)
        #expect(transport.requests.queues.isEmpty)
    }

    @Test func `The broker's error is passed on, with whether it may have taken the job`() async throws {
        let client = client()
        transport.fail {
            $0.publishing.next = [AMQPError(.nacked, "full"), AMQPError(.confirmTimedOut, "no answer")]
        }
        let nacked = await #expect(throws: WarrenError.self) { try await client.enqueue(email) }
        #expect(nacked?.isRetriable == true)
        #expect(nacked?.outcomeIsKnown == false)
        let timedOut = await #expect(throws: WarrenError.self) { try await client.enqueue(email) }
        #expect(timedOut?.outcomeIsKnown == false)
        #expect(timedOut?.message.contains("may or may not") == true)
    }

    @Test func `Failed declarations are reported, and tried again with the next job`() async throws {
        let client = client()
        transport.fail { $0.declaring.always = AMQPError(.accessRefused, "no") }
        let error = await #expect(throws: WarrenError.self) { try await client.enqueue(email) }
        #expect(error?.code == .topologyFailed)
        #expect(error?.message.contains("declaresTopology: false") == true)
        #expect(transport.published.isEmpty)
        transport.fail { $0.declaring.always = nil }
        try await client.enqueue(email)
        #expect(transport.published.count == 1)
    }

    @Test(.timeLimit(.minutes(1)))
    func `Declarations that hang end at the deadline`() async throws {
        transport.fail { $0.declaringHangs = true }
        let error = await withTaskGroup(of: WarrenError?.self) { group in
            group.addTask {
                await #expect(throws: WarrenError.self) {
                    try await client().enqueue(email, timeout: .seconds(5))
                }
            }
            await clock.untilAsleep(1)
            clock.advance(by: .seconds(5))
            return await group.next() ?? nil
        }
        #expect(transport.published.isEmpty)
        #expect(error?.code == .topologyFailed)
        #expect(error?.isRetriable == true)
    }

    @Test func `The publish gets the deadline`() async throws {
        let before = ContinuousClock.now
        try await client().enqueue(email, timeout: .seconds(700))
        let deadline = try #require(transport.published.first?.deadline)
        #expect(deadline >= before + .seconds(700) && deadline <= .now + .seconds(700))
        try await client().enqueue(email, timeout: .seconds(Int64.max))
        #expect(transport.published.count == 2)
    }

    @Test func `Invalid delays are refused before anything is sent`() async throws {
        let tooLong = Duration.seconds(1 << 28)
        let dates = [noon + 4e8, Date.distantFuture]
        let client = client()
        for attempt in [
            { try await client.enqueue(email, delay: .milliseconds(-1)) },
            { try await client.enqueue(email, delay: tooLong) },
            { try await client.enqueue(email, delay: .seconds(1), at: noon + 1) },
            { try await client.enqueue(email, at: dates[0]) }, { try await client.enqueue(email, at: dates[1]) },
        ] {
            let error = await #expect(throws: WarrenError.self) { try await attempt() }
            #expect(error?.code == .invalidDelay)
        }
        try await client.enqueue(email, delay: tooLong - .seconds(1))
        #expect(transport.published.count == 1)
    }

    @Test func `Invalid names, ids, lanes and expiries are refused before anything is sent`() async throws {
        struct Nameless: Job {
            static let name = ""
            static let queue: QueueName = "emails"
        }
        let client = client()
        let cases: [(WarrenError.Code, () async throws -> EnqueuedJob)] = [
            (.invalidQueueName, { try await client.enqueue(email, queue: "a b") }),
            (.invalidQueueName, { try await client.enqueue(email, queue: "emails.dead") }),
            (.invalidLane, { try await client.enqueue(email, lane: .high) }),
            (.invalidJobID, { try await client.enqueue(email, id: "") }),
            (.invalidJobID, { try await client.enqueue(email, id: String(repeating: "x", count: 256)) }),
            (.invalidJobName, { try await client.enqueue(Nameless()) }),
            (.invalidExpiry, { try await client.enqueue(email, expiresAt: noon) }),
            (.invalidExpiry, { try await client.enqueue(email, delay: .seconds(5), expiresAt: noon + 5) }),
            (
                .payloadTooLarge,
                { try await client.enqueue(SendEmail(to: "a", subject: String(repeating: "x", count: 17_000_000))) }
            ),
            (
                .headersTooLarge,
                { try await client.enqueue(email, headers: ["h": .string(String(repeating: "x", count: 130_000))]) }
            ),
        ]
        for (code, attempt) in cases {
            let error = await #expect(throws: WarrenError.self) { _ = try await attempt() }
            #expect(error?.code == code)
        }
        #expect(transport.published.isEmpty)
    }

    @Test func `The error about an unknown lane names the queue's lanes`() async throws {
        let error = await #expect(throws: WarrenError.self) {
            try await client(lanes: [.high]).enqueue(email, lane: .low)
        }
        #expect(error?.message.contains("only high, normal") == true)
    }

    @Test func `A job can be sent by its name and JSON`() async throws {
        let handle = try await client().enqueue(
            name: "emails.send",
            json: #" { "to": "é", "subject": "b", "copies": 2 } "#,
            queue: "emails",
            delay: .seconds(4)
        )
        let published = try #require(transport.published.first)
        let envelope = try Envelope(decoding: published.message)
        #expect(envelope.id == handle.id)
        #expect(try envelope.payload(as: SendEmail.self) == SendEmail(to: "é", subject: "b", copies: 2))
        #expect(published.destination == DelayLadder.route(.seconds(4), to: "emails"))
    }

    @Test(arguments: ["", "nope", "[1]", "1", "null", #"{"a":}"#, #"{"a":1} x"#]
    )
    func `JSON that isn't an object is refused`(json: String) async throws {
        let error = await #expect(throws: WarrenError.self) {
            try await client().enqueue(name: "emails.send", json: json, queue: "emails")
        }
        #expect(error?.code == .payloadNotEncodable)
        #expect(transport.published.isEmpty)
    }
}
