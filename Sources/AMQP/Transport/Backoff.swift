/// Growing pauses between attempts, each drawn at random from the upper half of a limit that doubles.
///
/// The randomness keeps processes that lost the same broker from reconnecting in step.
package struct Backoff: Sendable {
    private let first: Duration
    private let longest: Duration
    private var limit: Duration

    package init(from first: Duration, to longest: Duration) {
        self.first = first
        self.longest = longest
        limit = first
    }

    package mutating func next() -> Duration {
        defer { limit = min(limit * 2, longest) }
        return limit * Double.random(in: 0.5...1)
    }

    package mutating func reset() { limit = first }
}
