import AMQP
import TestSupport
import Testing

@testable import RabbitMQ

struct SettlementTrackerTests {
    private func tracker(delivered tags: ClosedRange<UInt64>) throws -> SettlementTracker {
        var tracker = SettlementTracker()
        for tag in tags { try tracker.deliver(tag) }
        return tracker
    }

    private func flush(_ tracker: inout SettlementTracker) -> [OutboundMethod] {
        var sent: [OutboundMethod] = []
        tracker.flush { sent.append($0) }
        return sent
    }

    private func settle(_ tracker: inout SettlementTracker, _ tag: UInt64, _ settlement: DeliverySettlement) -> Bool {
        tracker.settle(tag, settlement)
    }

    @Test func `A run of acknowledgements at the front is one frame`() throws {
        var tracker = try tracker(delivered: 1...5)
        for tag in [3, 1, 2] as [UInt64] { #expect(settle(&tracker, tag, .ack)) }
        #expect(flush(&tracker) == [.ack(tag: 3, multiple: true)])
    }

    @Test func `One acknowledgement alone is not multiple`() throws {
        var tracker = try tracker(delivered: 1...2)
        _ = tracker.settle(1, .ack)
        #expect(flush(&tracker) == [.ack(tag: 1, multiple: false)])
    }

    @Test func `An acknowledgement behind an unsettled delivery is sent alone, at once`() throws {
        var tracker = try tracker(delivered: 1...3)
        _ = tracker.settle(3, .ack)
        #expect(flush(&tracker) == [.ack(tag: 3, multiple: false)])
        _ = tracker.settle(1, .ack)
        _ = tracker.settle(2, .ack)
        #expect(flush(&tracker) == [.ack(tag: 2, multiple: true)])
    }

    @Test func `A run of acknowledgements never covers a delivery that is requeued`() throws {
        var tracker = try tracker(delivered: 1...3)
        _ = tracker.settle(1, .ack)
        _ = tracker.settle(2, .requeue)
        _ = tracker.settle(3, .ack)
        #expect(
            flush(&tracker) == [
                .ack(tag: 1, multiple: false), .nack(tag: 2, multiple: false, requeue: true),
                .ack(tag: 3, multiple: false),
            ]
        )
    }

    @Test func `Each kind of settlement has its method`() throws {
        var tracker = try tracker(delivered: 1...3)
        _ = tracker.settle(1, .discard)
        _ = tracker.settle(2, .reject(requeue: true))
        _ = tracker.settle(3, .reject(requeue: false))
        #expect(
            flush(&tracker) == [
                .nack(tag: 1, multiple: false, requeue: false), .reject(tag: 2, requeue: true),
                .reject(tag: 3, requeue: false),
            ]
        )
    }

    @Test func `A second settlement of a delivery does nothing`() throws {
        var tracker = try tracker(delivered: 1...2)
        #expect(settle(&tracker, 1, .ack))
        #expect(!settle(&tracker, 1, .requeue))
        #expect(flush(&tracker) == [.ack(tag: 1, multiple: false)])
        #expect(!settle(&tracker, 1, .ack))
        #expect(flush(&tracker) == [])
    }

    @Test func `An unknown delivery cannot be settled`() throws {
        var tracker = try tracker(delivered: 1...2)
        #expect(!settle(&tracker, 0, .ack))
        #expect(!settle(&tracker, 3, .ack))
        #expect(!tracker.hasWork)
    }

    @Test(arguments: [0, 1, 2, 4, 1 << 40, UInt64.max])
    func `A delivery whose number is not the next is refused`(tag: UInt64) throws {
        var tracker = try tracker(delivered: 1...2)
        let error = #expect(throws: AMQPError.self) { try tracker.deliver(tag) }
        #expect(error?.code == .malformed)
        try tracker.deliver(3)
    }

    @Test func `The first unsettled delivery is known, whether settlements were sent or not`() throws {
        var tracker = try tracker(delivered: 1...3)
        #expect(tracker.firstUnsettledTag == 1)
        _ = tracker.settle(1, .ack)
        _ = tracker.settle(3, .ack)
        #expect(tracker.firstUnsettledTag == 2)
        _ = flush(&tracker)
        #expect(tracker.firstUnsettledTag == 2)
        _ = tracker.settle(2, .ack)
        #expect(tracker.firstUnsettledTag == nil)
    }
}

struct SettlementTrackerPropertyTests {
    @Test(arguments: PropertyRounds.seeds(10))
    func `A broker that applies the frames settles each delivery as requested`(seed: UInt64) async throws {
        var random = SeededGenerator(seed: seed)
        let kinds: [DeliverySettlement] = [.ack, .ack, .ack, .ack, .requeue, .discard, .reject(requeue: true)]
        var tracker = SettlementTracker()
        var asked: [UInt64: DeliverySettlement] = [:]
        var settled: [UInt64: DeliverySettlement] = [:]
        var unsettled = Set<UInt64>()
        var next: UInt64 = 1
        for _ in 0..<100 {
            await Task.yield()
            for _ in 0..<Int.random(in: 0...8, using: &random) {
                try tracker.deliver(next)
                unsettled.insert(next)
                next += 1
            }
            for tag in unsettled.shuffled(using: &random).prefix(Int.random(in: 0...8, using: &random)) {
                let kind = kinds.randomElement(using: &random) ?? .ack
                if tracker.settle(tag, kind) { asked[tag] = kind }
            }
            tracker.flush { method in
                switch method {
                case .ack(let tag, let multiple):
                    for covered in unsettled where covered == tag || (multiple && covered < tag) {
                        settled[covered] = .ack
                    }
                case .nack(let tag, _, let requeue): settled[tag] = requeue ? .requeue : .discard
                case .reject(let tag, let requeue): settled[tag] = .reject(requeue: requeue)
                default: Issue.record("\(method) settles nothing")
                }
            }
            unsettled.subtract(settled.keys)
            #expect(settled == asked)
        }
    }
}
