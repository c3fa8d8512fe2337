import Testing

@testable import Warren

@Suite struct CircuitBreakerTests {
    private static let policy = CircuitBreakerPolicy.after(failures: 3, pause: .seconds(5), longest: .seconds(15))
    private var breaker = CircuitBreaker(policy)

    @Test mutating func `It opens after so many failures in a row, and a success starts the count anew`() {
        #expect(!fail() && !fail())
        #expect(!succeed())
        #expect(!fail() && !fail())
        #expect(breaker.phase == .closed)
        #expect(fail())
        #expect(breaker.phase == .open(for: .seconds(5)))
    }

    @Test mutating func `A probe that succeeds closes it, and everything is as before`() {
        open()
        #expect(succeed())
        #expect(breaker.phase == .closed)
        #expect(!fail() && !fail() && fail())
        #expect(breaker.phase == .open(for: .seconds(5)))
    }

    @Test mutating func `A probe that fails opens it for twice as long, up to the limit`() {
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

    @Test mutating func `Jobs that were taken before the last change say nothing`() {
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
