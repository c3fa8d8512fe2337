/// Growing pauses between attempts: each is drawn at random from the upper half of a limit that doubles.
///
/// The randomness keeps workers that lost the same broker from coming back in step.
struct Backoff {
    private let first: Duration
    private let longest: Duration
    private var limit: Duration

    init(from first: Duration, to longest: Duration) {
        self.first = first
        self.longest = longest
        limit = first
    }

    mutating func next() -> Duration {
        defer { limit = min(limit * 2, longest) }
        return limit * Double.random(in: 0.5...1)
    }

    mutating func reset() { limit = first }
}
