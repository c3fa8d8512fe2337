/// The rounds of property tests: a few by default, so that a run of all tests stays short.
///
/// The suites whose names end in `PropertyTests` use the processor for as long as it takes. `compose/test` runs them
/// apart from the tests that have deadlines.
///
/// - `WARREN_TEST_ROUNDS=50 compose/test --filter PropertyTests` runs 50 times as many rounds.
/// - `WARREN_TEST_SEED=7 compose/test --filter SpoolJournalPropertyTests` repeats a failure: it runs that seed's round.
package enum PropertyRounds {
    private static let factor = max(1, TestBroker.variable("WARREN_TEST_ROUNDS").flatMap(Int.init) ?? 1)
    private static let seed = TestBroker.variable("WARREN_TEST_SEED").flatMap(UInt64.init)

    /// The number of rounds of a test without seeds.
    ///
    /// - Parameter count: Their number by default.
    package static func count(_ count: Int) -> Int { count * factor }

    /// The seeds of a test's rounds.
    ///
    /// - Parameter count: The number of rounds by default.
    /// - Parameter first: The first seed.
    package static func seeds(_ count: Int, from first: UInt64 = 0) -> Range<UInt64> {
        if let seed { return seed..<seed + 1 }
        return first..<first + UInt64(count * factor)
    }
}
