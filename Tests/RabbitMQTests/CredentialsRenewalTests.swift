import AMQP
import Testing

@testable import RabbitMQ

struct CredentialsRenewalTests {
    private let start = ContinuousClock.now
    private let limit = Duration.seconds(10)

    private func password(
        _ text: String,
        expiresAfter life: Duration? = nil,
        from now: ContinuousClock.Instant? = nil
    )
        -> Credentials
    {
        .plain(user: "ada", password: text, expiresAt: life.map { (now ?? start) + $0 })
    }

    /// A connection that has logged in with an answer.
    private func loggedIn(with credentials: Credentials) throws -> CredentialsRenewal {
        var renewal = CredentialsRenewal(limit: limit)
        let number = try #require(renewal.logInDue(at: start).action?.question)
        #expect(renewal.answered(number, .success(credentials), at: start) == nil)
        #expect(renewal.logInDue(at: start).credentials == credentials)
        renewal.loggedIn(at: start)
        return renewal
    }

    @Test func `The source is asked before each log-in, once at a time`() throws {
        var renewal = try loggedIn(with: password("one"))
        #expect(renewal.nextDeadline == nil)
        renewal.connectionLost()
        let (credentials, action) = renewal.logInDue(at: start)
        #expect(credentials == nil)
        let number = try #require(action?.question)
        #expect(renewal.holdsUpLogIn)
        #expect(renewal.logInDue(at: start).action == nil)
        _ = renewal.answered(number, .success(password("two")), at: start)
        #expect(renewal.logInDue(at: start).credentials == password("two"))
    }

    @Test func `An answer serves until the broker has seen it, and not for long`() throws {
        var renewal = CredentialsRenewal(limit: limit)
        func answer(_ text: String, at now: ContinuousClock.Instant) throws {
            let number = try #require(renewal.logInDue(at: now).action?.question)
            _ = renewal.answered(number, .success(password(text)), at: now)
        }
        try answer("one", at: start)
        renewal.logInFailed(wasSeen: false)
        #expect(renewal.logInDue(at: start + .seconds(9)).credentials == password("one"))
        renewal.logInFailed(wasSeen: true)
        try answer("two", at: start + .seconds(9))
        #expect(renewal.logInDue(at: start + .seconds(9)).credentials == password("two"))
        try answer("three", at: start + .seconds(30))
    }

    @Test func `What expires is renewed after four fifths of its life, and so is its successor`() throws {
        var renewal = try loggedIn(with: password("one", expiresAfter: .seconds(100)))
        #expect(renewal.nextDeadline == start + .seconds(80))
        #expect(renewal.expire(at: start + .seconds(79)) == nil)
        let number = try #require(renewal.expire(at: start + .seconds(80))?.question)
        let new = password("two", expiresAfter: .seconds(200))
        #expect(renewal.answered(number, .success(new), at: start + .seconds(81))?.secret == new)
        renewal.updated(at: start + .seconds(100))
        #expect(renewal.nextDeadline == start + .seconds(180))
    }

    @Test func `A secret that hasn't changed isn't sent, and is asked for again before it expires`() throws {
        let credentials = password("one", expiresAfter: .seconds(100))
        var renewal = try loggedIn(with: credentials)
        let number = try #require(renewal.expire(at: start + .seconds(80))?.question)
        #expect(renewal.answered(number, .success(credentials), at: start + .seconds(80)) == nil)
        #expect(renewal.nextDeadline == start + .seconds(96))
    }

    @Test func `A source whose answers expire at once is asked once a second`() throws {
        let renewal = try loggedIn(with: password("one", expiresAfter: .milliseconds(1)))
        #expect(renewal.nextDeadline == start + .seconds(1))
    }

    @Test func `A renewal that fails is tried again after growing pauses, until one succeeds`() throws {
        var renewal = try loggedIn(with: password("one", expiresAfter: .seconds(100)))
        var now = start + .seconds(80)
        var pauses: [Duration] = []
        for _ in 1...8 {
            let number = try #require(renewal.expire(at: now)?.question)
            let failure = renewal.answered(number, .failure(AMQPError(.credentialsUnavailable, "No.")), at: now)
            pauses.append(try #require(failure?.pause))
            #expect(renewal.failure != nil)
            now = try #require(renewal.nextDeadline)
        }
        for (index, pause) in pauses.enumerated() {
            let longest = min(Duration.seconds(1 << index), .seconds(30))
            #expect(pause <= longest && pause >= longest / 2)
        }
        let number = try #require(renewal.expire(at: now)?.question)
        let new = password("two", expiresAfter: .seconds(100), from: now)
        #expect(renewal.answered(number, .success(new), at: now)?.secret == new)
        renewal.updated(at: now)
        #expect(renewal.failure == nil)
    }

    @Test func `A source that doesn't answer in time fails what waits, and its late answer counts for nothing`() throws
    {
        var renewal = CredentialsRenewal(limit: limit)
        let first = try #require(renewal.logInDue(at: start).action?.question)
        #expect(renewal.nextDeadline == start + limit)
        let failure = try #require(renewal.expire(at: start + limit)?.logInFailure)
        #expect(failure.code == .credentialsUnavailable)
        #expect(failure.isRetriable)
        #expect(renewal.answered(first, .success(password("late")), at: start + limit) == nil)
        #expect(renewal.logInDue(at: start + limit).action?.question == first + 1)
    }

    @Test func `A broker that doesn't answer for long is reported, and its late answer counts`() throws {
        var renewal = try loggedIn(with: password("one", expiresAfter: .seconds(100)))
        let number = try #require(renewal.expire(at: start + .seconds(80))?.question)
        _ = renewal.answered(number, .success(password("two")), at: start + .seconds(80))
        #expect(renewal.expire(at: start + .seconds(90))?.pause != nil)
        renewal.updated(at: start + .seconds(90))
        #expect(renewal.failure == nil)
        #expect(renewal.nextDeadline == nil)
    }

    @Test func `Another user's credentials are kept for the next log-in`() throws {
        var renewal = try loggedIn(with: password("one", expiresAfter: .seconds(100)))
        let number = try #require(renewal.expire(at: start + .seconds(80))?.question)
        let other = Credentials.plain(user: "eve", password: "two")
        guard case .keepForNextLogIn = renewal.answered(number, .success(other), at: start + .seconds(80)) else {
            Issue.record("They were not kept.")
            return
        }
        #expect(renewal.nextDeadline == nil)
    }

    @Test func `The answer to a renewal that the connection's loss overtakes serves the next log-in`() throws {
        var renewal = try loggedIn(with: password("one", expiresAfter: .seconds(100)))
        let number = try #require(renewal.expire(at: start + .seconds(80))?.question)
        renewal.connectionLost()
        #expect(renewal.logInDue(at: start + .seconds(81)).action == nil)
        _ = renewal.answered(number, .success(password("two")), at: start + .seconds(81))
        #expect(renewal.logInDue(at: start + .seconds(81)).credentials == password("two"))
    }

    @Test func `Credentials that can't be used are the source's failure`() throws {
        for unusable in [password("a\0b"), password("old", expiresAfter: .zero)] {
            var renewal = CredentialsRenewal(limit: limit)
            let number = try #require(renewal.logInDue(at: start).action?.question)
            let failure = renewal.answered(number, .success(unusable), at: start)?.logInFailure
            #expect(failure?.code == .credentialsUnavailable)
            #expect(failure?.message.contains("old") == false)
        }
    }

    @Test func `No text of credentials, and no reflection, shows the password`() {
        let credentials = password("hunter2")
        var dumped = ""
        dump(OutboundMethod.updateSecret(credentials), to: &dumped)
        for text in [
            "\(credentials)", String(reflecting: credentials), "\(OutboundMethod.updateSecret(credentials))", dumped,
        ] {
            #expect(!text.contains("hunter2"))
        }
    }
}

extension CredentialsRenewal.Action {
    fileprivate var question: Int? { if case .ask(let number) = self { number } else { nil } }
    fileprivate var secret: Credentials? { if case .send(let credentials) = self { credentials } else { nil } }
    fileprivate var logInFailure: AMQPError? { if case .failLogIn(let error) = self { error } else { nil } }
    fileprivate var pause: Duration? { if case .report(_, let pause) = self { pause } else { nil } }
}
