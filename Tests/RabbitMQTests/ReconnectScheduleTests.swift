import AMQP
import Testing

@testable import RabbitMQ

/// The schedule of attempts to connect, event by event.
struct ReconnectScheduleTests {
    private let start = ContinuousClock.now

    @Test func `No attempt is made before the connection is needed`() {
        var schedule = ReconnectSchedule(endpointCount: 1)
        #expect(schedule.state == .idle)
        #expect(schedule.nextAttempt == nil)
        schedule.demand(at: start)
        #expect(schedule.state == .connecting)
        #expect(schedule.nextAttempt == start)
    }

    @Test func `Before the first success, it gives up after a round of failures over all endpoints`() {
        var schedule = ReconnectSchedule(endpointCount: 2)
        schedule.demand(at: start)
        let first = schedule.failed(at: start, hasConnectedBefore: false)
        #expect(!first)
        #expect(schedule.endpoint == 1)
        #expect(schedule.nextAttempt == start)
        let second = schedule.failed(at: start, hasConnectedBefore: false)
        #expect(second)
        #expect(schedule.state == .idle)
        #expect(schedule.nextAttempt == nil)
        schedule.demand(at: start)
        #expect(schedule.nextAttempt == start)
    }

    @Test func `After a success it never gives up, and pauses at most a second between rounds`() throws {
        var schedule = ReconnectSchedule(endpointCount: 3)
        schedule.demand(at: start)
        schedule.opened(at: start)
        schedule.lost(at: start + .seconds(60))
        var now = try #require(schedule.nextAttempt)
        #expect(now - start <= .milliseconds(60_050))
        for round in 1...20 {
            #expect(schedule.state == .recovering(attempt: round))
            for _ in 0..<2 {
                let givesUp = schedule.failed(at: now, hasConnectedBefore: true)
                #expect(!givesUp)
                #expect(schedule.nextAttempt == now)
            }
            let givesUp = schedule.failed(at: now, hasConnectedBefore: true)
            #expect(!givesUp)
            let next = try #require(schedule.nextAttempt)
            #expect(next > now && next - now <= .seconds(1))
            if round > 6 { #expect(next - now >= .milliseconds(500)) }
            now = next
        }
    }

    @Test func `After a connection that is lost as soon as it is made comes a pause`() throws {
        var schedule = ReconnectSchedule(endpointCount: 1)
        schedule.demand(at: start)
        var now = start
        for attempt in 1...10 {
            schedule.opened(at: now)
            schedule.lost(at: now + .milliseconds(5))
            #expect(schedule.state == .recovering(attempt: attempt))
            let next = try #require(schedule.nextAttempt)
            #expect(next - now >= .milliseconds(50))
            now = next
        }
    }

    @Test func `An hour without a broker takes a dozen log lines`() throws {
        var schedule = ReconnectSchedule(endpointCount: 1)
        schedule.demand(at: start)
        var now = start
        var logged = 0
        while now < start + .seconds(3_600) {
            _ = schedule.failed(at: now, hasConnectedBefore: true)
            logged += schedule.isWorthLogging ? 1 : 0
            now = try #require(schedule.nextAttempt)
        }
        #expect((10...14).contains(logged))
    }

    @Test func `A client that has connected once also recovers on its other connection`() {
        var schedule = ReconnectSchedule(endpointCount: 1)
        schedule.demand(at: start)
        #expect(schedule.state == .connecting)
        let givesUp = schedule.failed(at: start, hasConnectedBefore: true)
        #expect(!givesUp)
        #expect(schedule.state == .recovering(attempt: 1))
    }

    @Test func `An alarm blocks an open connection, and its end unblocks it`() {
        var schedule = ReconnectSchedule(endpointCount: 1)
        schedule.blocked("disk")
        #expect(schedule.state == .idle)
        schedule.demand(at: start)
        schedule.opened(at: start)
        schedule.blocked("disk")
        #expect(schedule.state == .blocked(reason: "disk"))
        schedule.blocked(nil)
        #expect(schedule.state == .open)
    }
}
