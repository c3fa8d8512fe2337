import Synchronization
import Testing

@testable import Warren

@Suite struct AsyncMutexTests {
    @Test("Only one caller has its turn at a time, and each gets one", .timeLimit(.minutes(1)))
    func exclusive() async throws {
        let turn = AsyncMutex()
        let count = Count()
        try await withThrowingTaskGroup { group in
            for _ in 0..<200 {
                group.addTask {
                    try await turn.withLock {
                        #expect(count.enter() == 1)
                        await Task.yield()
                        count.leave()
                    }
                }
            }
            try await group.waitForAll()
        }
        #expect(count.total == 200)
    }

    @Test("A caller that is cancelled while it waits gives up, and the next has its turn", .timeLimit(.minutes(1)))
    func cancelled() async throws {
        let turn = AsyncMutex()
        try await turn.withLock {
            await withTaskGroup { group in
                group.addTask {
                    await #expect(throws: CancellationError.self) { try await turn.withLock {} }
                }
                await Task.yield()
                group.cancelAll()
            }
        }
        try await turn.withLock {}
    }

    @Test("A turn that fails is passed on")
    func failing() async throws {
        let turn = AsyncMutex()
        await #expect(throws: SampleError.self) { try await turn.withLock { throw SampleError() } }
        #expect(try await turn.withLock { 7 } == 7)
    }

    private final class Count: Sendable {
        private let numbers = Mutex((inside: 0, total: 0))
        var total: Int { numbers.withLock { $0.total } }

        func enter() -> Int {
            numbers.withLock { numbers in
                numbers.inside += 1
                numbers.total += 1
                return numbers.inside
            }
        }

        func leave() { numbers.withLock { $0.inside -= 1 } }
    }
}
