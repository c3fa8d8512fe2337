import TestSupport
import Testing
import Warren

@Suite struct RetryPolicyTests {
    @Test
    func
        `An exponential delay is above nothing and at most its doubled limit, for every attempt and any random number`()
    {
        let policy = RetryPolicy.exponential(from: .seconds(1), to: .seconds(600), attempts: 100)
        var generator = SeededGenerator(seed: 3)
        for attempt in 1...90 {
            let limit = attempt < 11 ? Duration.seconds(min(600, 1 << (attempt - 1))) : .seconds(600)
            let delays = (0..<200).map { _ in policy.delay(afterAttempt: attempt, using: &generator) }
            #expect(delays.allSatisfy { $0 > .zero && $0 <= limit })
        }
    }

    @Test func `Full jitter spreads over the whole range`() {
        let policy = RetryPolicy.exponential(from: .seconds(64), to: .seconds(64), attempts: 9)
        var generator = SeededGenerator(seed: 5)
        let delays = (0..<4_000).map { _ in policy.delay(afterAttempt: 1, using: &generator) / .seconds(1) }
        #expect(abs(delays.reduce(0, +) / 4_000 - 32) < 1)
        #expect(delays.contains { $0 < 1 } && delays.contains { $0 > 63 })
    }

    @Test(arguments: [0, -5, 1_000, Int.max])
    func `Attempts as high as numbers go make no overflow`(attempt: Int) {
        var generator = SeededGenerator(seed: 1)
        let policy = RetryPolicy.exponential(from: .seconds(Int64.max), to: .seconds(Int64.max), attempts: .max)
        #expect(policy.delay(afterAttempt: attempt, using: &generator) <= .seconds((1 << 28) - 1))
    }

    @Test func `A fixed delay is always the same, and never negative`() {
        var generator = SeededGenerator(seed: 1)
        #expect(RetryPolicy.fixed(.seconds(7), attempts: 3).delay(afterAttempt: 2, using: &generator) == .seconds(7))
        #expect(RetryPolicy.fixed(.seconds(-7), attempts: 3).delay(afterAttempt: 2, using: &generator) == .zero)
        #expect(
            RetryPolicy.exponential(from: .seconds(-1), to: .seconds(5), attempts: 3).delay(
                afterAttempt: 1,
                using: &generator
            ) == .zero
        )
    }

    @Test func `A policy has at least one attempt`() {
        #expect(RetryPolicy.none.attempts == 1)
        #expect(RetryPolicy.fixed(.zero, attempts: -3).attempts == 1)
        #expect(RetryPolicy.standard.attempts == 20)
    }

    @Test func `A policy by error asks its closure, and a failure with its own decision isn't asked about`() {
        let policy = RetryPolicy.fixed(.seconds(9), attempts: 4).deciding {
            $0 is SampleError ? .never : .retry(after: .seconds(1))
        }
        #expect(policy.attempts == 4)
        #expect(policy.decision(on: SampleError()) == .never)
        #expect(policy.decision(on: CancellationError()) == .retry(after: .seconds(1)))
        #expect(policy.decision(on: JobFailure.retry(after: .seconds(3))) == .retry(after: .seconds(3)))
        #expect(policy.decision(on: JobFailure.permanent("no")) == .never)
        #expect(RetryPolicy.standard.decision(on: SampleError()) == .retry)
    }
}
