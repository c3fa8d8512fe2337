import Synchronization
import TestSupport
import Testing

@testable import Warren

@Suite(.timeLimit(.minutes(1))) struct IsolationGateTests {
    @Test func `Jobs that can't be poison enter side by side`() async {
        let gate = IsolationGate()
        #expect(await gate.enter())
        #expect(await gate.enter())
        gate.leave()
        gate.leave()
    }

    @Test func `A job that may be poison enters once the others have left, and newcomers wait until it has left`()
        async throws
    {
        let gate = IsolationGate()
        let recorder = Recorder<String>()
        #expect(await gate.enter())
        try await withThrowingDiscardingTaskGroup { group in
            group.addTask {
                #expect(await gate.enterExclusively())
                recorder.record("alone")
                // Nobody but this test's newcomer can come in now, and it waits.
                recorder.record("left")
                gate.leaveExclusively()
            }
            try await gate.untilWaiting(isolated: 1)
            group.addTask {
                #expect(await gate.enter())
                recorder.record("newcomer")
                gate.leave()
            }
            try await gate.untilWaiting(isolated: 1, shared: 1)
            gate.leave()
            #expect(await recorder.next(3) == ["alone", "left", "newcomer"])
        }
        #expect(await gate.enter())
    }

    @Test func `A closed gate turns away waiting jobs and newcomers`() async throws {
        let gate = IsolationGate()
        #expect(await gate.enterExclusively())
        try await withThrowingDiscardingTaskGroup { group in
            group.addTask { #expect(await gate.enter() == false) }
            group.addTask { #expect(await gate.enterExclusively() == false) }
            try await gate.untilWaiting(isolated: 1, shared: 1)
            gate.close()
        }
        gate.leaveExclusively()
        #expect(await gate.enter() == false)
        #expect(await gate.enterExclusively() == false)
    }
}

@Suite struct SoloGatePropertyTests {
    @Test func `In any interleaving, a job that may be poison never runs beside another`() async {
        let gate = IsolationGate()
        let inside = Inside()
        await withDiscardingTaskGroup { group in
            for task in 0..<8 {
                group.addTask {
                    for turn in 0..<PropertyRounds.count(60) {
                        if (turn + task) % 7 == 0 {
                            #expect(await gate.enterExclusively())
                            #expect(inside.alone.add(1, ordering: .sequentiallyConsistent).newValue == 1)
                            #expect(inside.others.load(ordering: .sequentiallyConsistent) == 0)
                            await Task.yield()
                            #expect(inside.others.load(ordering: .sequentiallyConsistent) == 0)
                            inside.alone.subtract(1, ordering: .sequentiallyConsistent)
                            gate.leaveExclusively()
                        } else {
                            #expect(await gate.enter())
                            inside.others.add(1, ordering: .sequentiallyConsistent)
                            await Task.yield()
                            inside.others.subtract(1, ordering: .sequentiallyConsistent)
                            gate.leave()
                        }
                    }
                }
            }
        }
    }
}

/// The number of jobs inside a gate.
private final class Inside: Sendable {
    let alone = Atomic(0)
    let others = Atomic(0)
}

extension IsolationGate {
    /// Waits until this number of callers wait.
    fileprivate func untilWaiting(isolated: Int, shared: Int = 0) async throws {
        try await until { waiting == (isolated, shared) }
    }
}
