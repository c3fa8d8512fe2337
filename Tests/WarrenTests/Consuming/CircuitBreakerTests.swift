import Testing

@testable import Warren

@Suite struct CircuitBreakerTests {
    private static let policy = CircuitBreakerPolicy.after(failures: 3, pause: .seconds(5), longest: .seconds(15))
    private var breaker = CircuitBreaker(policy)

    @Test mutating func `The breaker opens after a number of failures in a row, and a success resets the count`() {
        #expect(!fail() && !fail())
        #expect(!succeed())
        #expect(!fail() && !fail())
        #expect(breaker.phase == .closed)
        #expect(fail())
        #expect(breaker.phase == .open(for: .seconds(5)))
    }

    @Test mutating func `A successful probe closes the breaker`() {
        open()
        #expect(succeed())
        #expect(breaker.phase == .closed)
        #expect(!fail() && !fail() && fail())
        #expect(breaker.phase == .open(for: .seconds(5)))
    }

    @Test mutating func `A failed probe doubles the pause, up to the limit`() {
        open()
        var pauses: [CircuitBreaker.Phase] = []
        for _ in 0..<3 {
            #expect(fail())
            pauses.append(breaker.phase)
            breaker.pauseEnded(generation: breaker.generation)
        }
        #expect(pauses == [.open(for: .seconds(10)), .open(for: .seconds(15)), .open(for: .seconds(15))])
        #expect(succeed())
        #expect(!fail() && !fail() && fail())
        #expect(breaker.phase == .open(for: .seconds(5)))
    }

    @Test mutating func `Results of jobs taken before the last change are ignored`() {
        let before = breaker.generation
        open()
        #expect(!breaker.succeeded(generation: before) && !breaker.failed(generation: before))
        #expect(breaker.phase == .halfOpen)
    }

    @Test mutating func `The end of an earlier pause doesn't end a later one`() {
        open()
        #expect(fail())
        let first = breaker.generation
        breaker.pauseEnded(generation: first)
        #expect(fail())
        breaker.pauseEnded(generation: first)
        #expect(breaker.phase == .open(for: .seconds(15)))
    }

    private mutating func fail() -> Bool { breaker.failed(generation: breaker.generation) }
    private mutating func succeed() -> Bool { breaker.succeeded(generation: breaker.generation) }

    /// Takes the breaker to half-open.
    private mutating func open() {
        while !fail() {}
        breaker.pauseEnded(generation: breaker.generation)
        #expect(breaker.phase == .halfOpen)
    }
}
