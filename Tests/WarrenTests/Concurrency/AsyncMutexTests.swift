import Synchronization
import Testing

@testable import Warren

@Suite struct AsyncMutexTests {
    @Test(.timeLimit(.minutes(1)))
    func `Only one caller holds the lock at a time, and each gets it`() async throws {
        let mutex = AsyncMutex()
        let count = Count()
        try await withThrowingTaskGroup { group in
            for _ in 0..<200 {
                group.addTask {
                    try await mutex.withLock {
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

    @Test(.timeLimit(.minutes(1)))
    func `A caller that is cancelled while it waits gives up, and the next gets the lock`() async throws {
        let mutex = AsyncMutex()
        try await mutex.withLock {
            await withTaskGroup { group in
                group.addTask {
                    await #expect(throws: CancellationError.self) { try await mutex.withLock {} }
                }
                await Task.yield()
                group.cancelAll()
            }
        }
        try await mutex.withLock {}
    }

    @Test func `The lock is released when its holder throws`() async throws {
        let mutex = AsyncMutex()
        await #expect(throws: SampleError.self) { try await mutex.withLock { throw SampleError() } }
        #expect(try await mutex.withLock { 7 } == 7)
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
