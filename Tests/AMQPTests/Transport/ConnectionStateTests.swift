import AMQP
import Testing

struct ConnectionStateTests {
    private static let all: [(ConnectionState, isConnected: Bool, text: String)] = [
        (.idle, false, "idle"), (.connecting, false, "connecting"), (.open, true, "open"),
        (.blocked(reason: "low on disk"), true, "blocked (low on disk)"),
        (.recovering(attempt: 3), false, "recovering (3)"), (.closed, false, "closed"),
    ]

    @Test func `A state knows whether the client is logged in, and describes itself`() {
        for (state, isConnected, text) in Self.all {
            #expect(state.isConnected == isConnected)
            #expect(state.description == text)
        }
        #expect(Set(Self.all.map(\.0)).count == Self.all.count)
    }

    @Test func `A state carries the broker's reason and the number of the attempt`() {
        #expect(Self.all.map(\.0.blockedReason) == [nil, nil, nil, "low on disk", nil, nil])
        #expect(Self.all.map(\.0.recoveryAttempt) == [nil, nil, nil, nil, 3, nil])
    }
}
