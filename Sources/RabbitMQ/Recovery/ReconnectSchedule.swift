import AMQP

/// When a connection is to be tried, and at which of its endpoints.
///
/// A state machine: events in, state out, no clock and no I/O. All endpoints are tried in turn without a pause between; after a round of
/// failures comes a pause, which grows to a second: little enough that a broker which returns is at work again at once, and spread at
/// random, so that a thousand clients don't return in step.
///
/// Before the first success a round of failures ends the attempt: the address is probably wrong, and who waits should know. After it the
/// schedule never gives up.
struct ReconnectSchedule {
    /// After how long a connection counts as a good one, whose loss may be answered without a pause.
    static let stableAfter = Duration.seconds(5)

    private let endpointCount: Int
    private var backoff = Backoff(from: .milliseconds(100), to: .seconds(1))
    private var failuresInRound = 0
    private var attempt = 0
    private var openedAt: ContinuousClock.Instant?
    private(set) var state = ConnectionState.idle
    /// The endpoint whose turn it is.
    private(set) var endpoint = 0
    /// When to try; `nil` if there is nothing to be tried.
    private(set) var nextAttempt: ContinuousClock.Instant?

    init(endpointCount: Int) {
        self.endpointCount = endpointCount
    }

    /// Whether an operator should hear of the attempt: the 1st, 2nd, 4th, 8th and so on, a dozen lines for an hour without a broker.
    var isWorthLogging: Bool { attempt & (attempt - 1) == 0 }

    /// Somebody needs the connection.
    mutating func demand(at now: ContinuousClock.Instant) {
        guard state == .idle else { return }
        state = .connecting
        nextAttempt = now
    }

    /// The connection is open.
    mutating func opened(at now: ContinuousClock.Instant) {
        state = .open
        nextAttempt = nil
        openedAt = now
        failuresInRound = 0
    }

    /// The broker takes publishes, or doesn't, for a reason.
    mutating func blocked(_ reason: String?) {
        guard state.isConnected else { return }
        state = reason.map { .blocked(reason: $0) } ?? .open
    }

    /// An attempt failed.
    ///
    /// - Parameter hasConnectedBefore: Whether any connection of this client has ever been open.
    ///
    /// Returns true if that was all: what waits for the connection should fail too.
    mutating func failed(at now: ContinuousClock.Instant, hasConnectedBefore: Bool) -> Bool {
        endpoint = (endpoint + 1) % endpointCount
        failuresInRound += 1
        guard failuresInRound >= endpointCount else {
            nextAttempt = now
            return false
        }
        failuresInRound = 0
        guard hasConnectedBefore else {
            state = .idle
            nextAttempt = nil
            return true
        }
        recover(at: now + backoff.next())
        return false
    }

    /// The open connection was lost.
    mutating func lost(at now: ContinuousClock.Instant) {
        let wasStable = openedAt.map { $0.duration(to: now) >= Self.stableAfter } ?? false
        openedAt = nil
        if wasStable {
            attempt = 0
            backoff.reset()
        }
        recover(at: now + (wasStable ? .milliseconds(Int.random(in: 0...50)) : backoff.next()))
    }

    /// This program wants no connection any more.
    mutating func closed() {
        state = .closed
        nextAttempt = nil
    }

    private mutating func recover(at instant: ContinuousClock.Instant) {
        attempt += 1
        state = .recovering(attempt: attempt)
        nextAttempt = instant
    }
}
