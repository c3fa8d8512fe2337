import AMQP
import EmbeddedBroker
import TestSupport
import Testing

@Suite(.timeLimit(.minutes(1))) struct VirtualClockTests {
    private let clock = VirtualClock()

    @Test func `Sleeping tasks wake at their times`() async throws {
        let clock = clock
        let woken = Recorder<Int>()
        try await withThrowingTaskGroup(of: Void.self) { group in
            for seconds in [3, 1, 2] {
                group.addTask {
                    try await clock.sleep(for: .seconds(seconds))
                    woken.record(seconds)
                }
            }
            await clock.untilAsleep(3)
            #expect(clock.nextEvent?.offset == .seconds(1))
            for seconds in 1...3 {
                #expect(clock.advanceToNextEvent())
                #expect(clock.now.offset == .seconds(seconds))
                #expect(await woken.next(1) == [seconds])
            }
            #expect(!clock.advanceToNextEvent())
            try await group.waitForAll()
        }
    }

    @Test func `A cancelled sleeping task leaves no event behind`() async {
        let clock = clock
        let sleeper = Task { try await clock.sleep(for: .seconds(5)) }
        await clock.untilAsleep(1)
        sleeper.cancel()
        await #expect(throws: CancellationError.self) { try await sleeper.value }
        #expect(clock.nextEvent == nil && clock.sleeperCount == 0)
    }

    @Test func `A message passes a chain of delays in one step, each at its time`() async throws {
        let harness = BrokerHarness()
        try await harness.declare("end")
        for level in 1...20 {
            try await harness.declare("level-\(level)", .quorum) {
                $0.messageTTL = .seconds(1 << level)
                $0.deadLetterExchange = ""
                $0.deadLetterRoutingKey = level == 1 ? "end" : "level-\(level - 1)"
            }
        }
        try await harness.publish("A", to: "level-20")
        harness.clock.advance(by: .seconds((1 << 21) - 3))
        #expect(harness.ready("end").isEmpty)
        harness.clock.advance(by: .seconds(1))
        let deaths = harness.broker.readyMessages(in: "end").first?.properties.headers?["x-death"]?.arrayValue ?? []
        #expect(deaths.count == 20)
        #expect(harness.clock.runUntilIdle())
    }
}
