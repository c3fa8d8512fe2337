import AMQP

/// The schedule of attempts to connect: when, and to which endpoint.
///
/// A state machine: events in, state out, no clock and no I/O. All endpoints are tried one after another without a
/// pause; each round of failures is followed by a pause that grows to a second. That is short enough for a broker that
/// returns to be in use again at once, and random, so that a thousand clients don't return in step.
///
/// Before the first success, a round of failures ends the attempt: the address is probably wrong, and callers that wait
/// should know. After it, the schedule never gives up.
struct ReconnectSchedule {
    /// The time after which a connection counts as stable, so that its loss is followed by an attempt without a pause.
    static let stableAfter = Duration.seconds(5)

    private let endpointCount: Int
    private var backoff = Backoff(from: .milliseconds(100), to: .seconds(1))
    private var failuresInRound = 0
    private var attempt = 0
    private var openedAt: ContinuousClock.Instant?
    private(set) var state = ConnectionState.idle
    /// The index of the endpoint that is in use or tried next.
    private(set) var endpoint = 0
    /// The time of the next attempt; `nil` if none is planned.
    private(set) var nextAttempt: ContinuousClock.Instant?

    init(endpointCount: Int) {
        self.endpointCount = endpointCount
    }

    /// True if an operator should see the attempt: the 1st, 2nd, 4th, 8th and so on, a dozen lines for an hour without
    /// a broker.
    var isWorthLogging: Bool { attempt & (attempt - 1) == 0 }

    /// Handles the need for a connection.
    mutating func demand(at now: ContinuousClock.Instant) {
        guard state == .idle else { return }
        state = .connecting
        nextAttempt = now
    }

    /// Handles the opening of the connection.
    mutating func opened(at now: ContinuousClock.Instant) {
        state = .open
        nextAttempt = nil
        openedAt = now
        failuresInRound = 0
    }

    /// Handles the broker's blocking of publishers, or its end if the reason is `nil`.
    mutating func blocked(_ reason: String?) {
        guard state.isConnected else { return }
        state = reason.map { .blocked(reason: $0) } ?? .open
    }

    /// Handles a failed attempt.
    ///
    /// Returns true if it gives up: everything that waits for the connection should fail too.
    ///
    /// - Parameters:
    ///   - now: The present time.
    ///   - hasConnectedBefore: Whether any connection of this client has ever been open.
    ///   - endsRound: Whether the other endpoints needn't be tried before a pause.
    mutating func failed(
        at now: ContinuousClock.Instant,
        hasConnectedBefore: Bool,
        endsRound: Bool = false
    ) -> Bool {
        endpoint = (endpoint + 1) % endpointCount
        failuresInRound = endsRound ? endpointCount : failuresInRound + 1
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

    /// Handles the loss of the open connection.
    mutating func lost(at now: ContinuousClock.Instant) {
        let wasStable = openedAt.map { $0.duration(to: now) >= Self.stableAfter } ?? false
        openedAt = nil
        if wasStable {
            attempt = 0
            backoff.reset()
        }
        recover(at: now + (wasStable ? .milliseconds(Int.random(in: 0...50)) : backoff.next()))
    }

    /// Handles the close of the connection by this program.
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
