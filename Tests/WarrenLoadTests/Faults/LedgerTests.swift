import Testing

@testable import WarrenLoad

@Suite struct LedgerTests {
    private func ledger(enqueued: [String], done: [String]) -> Ledger {
        var ledger = Ledger()
        for (time, id) in enqueued.enumerated() { ledger.recordConfirmed(id, begunAt: Int64(time)) }
        for (time, id) in done.enumerated() {
            ledger.record(EventLogEntry(event: .done, time: Int64(time) * 1_000_000, id: id), by: "w")
        }
        return ledger
    }

    @Test func `A confirmed job without a trace is lost`() {
        var ledger = ledger(enqueued: ["a", "b", "c", "d"], done: ["a"])
        ledger.recordDead("b", reason: "permanent")
        ledger.recordQueued("c")
        let balance = ledger.balance
        #expect(balance.enqueued == 4)
        #expect(balance.completed == 1)
        #expect(balance.dead == 1)
        #expect(balance.queued == 1)
        #expect(balance.lost == 1)
        #expect(ledger.missing == ["d"])
    }

    @Test func `Completions beyond the first are duplicates`() {
        let ledger = ledger(enqueued: ["a", "b"], done: ["a", "b", "a", "a"])
        #expect(ledger.balance.duplicated == 2)
        #expect(ledger.balance.completed == 2)
    }

    @Test func `A job whose enqueue is doubtful is neither lost nor a duplicate when it appears`() {
        var ledger = ledger(enqueued: ["a"], done: ["a", "doubtful"])
        ledger.recordDoubtful("doubtful")
        ledger.recordDoubtful("other")
        let balance = ledger.balance
        #expect(balance.lost == 0)
        #expect(balance.duplicated == 0)
        #expect(balance.completed == 1)
        #expect(balance.doubtful == 2)
        #expect(balance.doubtfulCompleted == 1)
    }

    @Test func `A job that was open when its queue was deleted is discarded, and a later one is lost`() {
        var ledger = ledger(enqueued: ["a", "b", "c"], done: ["a"])
        ledger.waiveOpen()
        ledger.record(EventLogEntry(event: .done, time: 9, id: "c"), by: "w")
        ledger.recordConfirmed("late", begunAt: 10)
        let balance = ledger.balance
        #expect(balance.discarded == 1)
        #expect(balance.lost == 1)
        #expect(ledger.missing == ["b", "late"])
    }

    @Test func `A worker's open jobs are those it began and did not complete`() {
        var ledger = Ledger()
        ledger.record(EventLogEntry(event: .begun, time: 1, id: "a"), by: "w")
        ledger.record(EventLogEntry(event: .begun, time: 1, id: "b"), by: "w")
        ledger.record(EventLogEntry(event: .done, time: 2, id: "a"), by: "w")
        #expect(ledger.begun["w"] == ["b"])
    }

    @Test func `Redeliveries are counted, if wanted only of jobs enqueued since a time`() {
        var ledger = ledger(enqueued: ["a", "b"], done: [])
        ledger.record(EventLogEntry(event: .begun, time: 5, id: "a"), by: "w")
        for id in ["a", "a", "b"] {
            ledger.record(EventLogEntry(event: .begunAgain, time: 6, id: id), by: "w")
        }
        #expect(ledger.redelivered() == 3)
        #expect(ledger.redelivered(enqueuedSince: 1) == 1)
        #expect(ledger.begun["w"] == ["a", "b"])
    }

    @Test func `The rate of a period counts its completions`() {
        let ledger = ledger(enqueued: [], done: ["a", "b", "c", "d", "e"])
        #expect(ledger.rate(from: 1_000_000, to: 3_000_000) == 1)
        #expect(ledger.rate(from: 10_000_000, to: 11_000_000) == 0)
    }

    @Test func `Recovery is the time to the first completion after the mark, of new jobs only if required`() {
        var ledger = Ledger()
        ledger.recordConfirmed("old", begunAt: 1_000_000)
        ledger.recordConfirmed("new", begunAt: 6_000_000)
        ledger.record(EventLogEntry(event: .done, time: 5_500_000, id: "old"), by: "w1")
        ledger.record(EventLogEntry(event: .done, time: 7_000_000, id: "new"), by: "w2")
        #expect(ledger.recovery(after: Ledger.Mark(time: 5_000_000)) == 0.5)
        #expect(ledger.recovery(after: Ledger.Mark(time: 5_000_000, countsNewJobsOnly: true)) == 2)
        #expect(ledger.recovery(after: Ledger.Mark(time: 8_000_000)) == nil)
        #expect(ledger.firstCompletions(after: Ledger.Mark(time: 5_000_000)) == ["w1": 0.5, "w2": 2])
        #expect(ledger.firstCompletions(after: Ledger.Mark(time: 5_000_000, countsNewJobsOnly: true)) == ["w2": 2])
        #expect(ledger.firstCompletions(after: Ledger.Mark(time: 6_000_000)) == ["w2": 1])
    }
}
