import AMQP

/// The credentials of one connection: when their source is asked, and when the broker gets its answer.
///
/// A state machine: events in, actions out, no clock and no I/O. The source is asked before each log-in; its answer
/// serves until the broker has seen it, or for a few seconds, so that a broker that doesn't answer isn't a reason to
/// ask again and again. An answer that expires is renewed while the connection is open.
struct CredentialsRenewal {
    /// An action for the connection to perform.
    enum Action {
        /// Ask the source; ``answered(_:_:at:)`` reports its answer.
        case ask(number: Int)
        /// Give the broker a new secret; ``updated(at:)`` reports its answer.
        case send(Credentials)
        /// Fail the log-in that waits for credentials.
        case failLogIn(AMQPError)
        /// Log a failed renewal, which is tried again after the pause.
        case report(AMQPError, pause: Duration)
        /// Log that the new credentials serve only from the next log-in on.
        case keepForNextLogIn
    }

    /// The part of the time until the expiry after which credentials are renewed; the rest is for trying again.
    private static let renewalPoint = 0.8
    /// The shortest time from one question to the next, for a source whose answers expire at once.
    private static let shortestPause = Duration.seconds(1)
    /// The time for which an answer serves attempts that don't reach the broker.
    private static let answerLife = Duration.seconds(10)

    private struct Question {
        let number: Int
        let deadline: ContinuousClock.Instant
    }

    private enum Phase {
        /// Without a connection.
        case loggedOut
        case askingForLogIn(Question)
        case ready(Credentials, until: ContinuousClock.Instant)
        case loggedIn(Credentials, Renewal)
    }

    private enum Renewal {
        /// Not planned: the credentials don't expire.
        case none
        case due(ContinuousClock.Instant)
        case asking(Question)
        /// Waiting for the broker's answer.
        case sent(deadline: ContinuousClock.Instant)
    }

    /// The longest time that the source and the broker may each take to answer.
    private let limit: Duration
    private var phase = Phase.loggedOut
    /// The credentials whose secret was sent to the broker and not answered yet.
    private var unanswered: Credentials?
    private var questions = 0
    private var pauses = Backoff(from: .seconds(1), to: .seconds(30))
    /// The reason why the last renewal failed; `nil` once one succeeds.
    private(set) var failure: AMQPError?

    init(limit: Duration) { self.limit = limit }

    /// True while a log-in waits for the source.
    var holdsUpLogIn: Bool { if case .askingForLogIn = phase { true } else { false } }

    /// The next time at which ``expire(at:)`` has something to do.
    var nextDeadline: ContinuousClock.Instant? {
        switch phase {
        case .loggedOut, .ready, .loggedIn(_, .none): nil
        case .askingForLogIn(let question), .loggedIn(_, .asking(let question)): question.deadline
        case .loggedIn(_, .due(let time)), .loggedIn(_, .sent(let time)): time
        }
    }

    // MARK: Log-in

    /// Handles an attempt to log in: returns the credentials for it, or the question to ask first.
    ///
    /// Returns neither while the source is being asked.
    mutating func logInDue(at now: ContinuousClock.Instant) -> (credentials: Credentials?, action: Action?) {
        switch phase {
        case .ready(let credentials, let until) where until > now: return (credentials, nil)
        case .askingForLogIn, .loggedIn: return (nil, nil)
        case .loggedOut, .ready:
            let question = ask(at: now)
            phase = .askingForLogIn(question)
            return (nil, .ask(number: question.number))
        }
    }

    /// Handles a failed attempt to log in.
    ///
    /// - Parameter wasSeen: Whether the broker has seen the credentials.
    mutating func logInFailed(wasSeen: Bool) {
        if wasSeen { phase = .loggedOut }
    }

    /// Handles a successful log-in.
    mutating func loggedIn(at now: ContinuousClock.Instant) {
        guard case .ready(let credentials, _) = phase else { return }
        succeeded(with: credentials, at: now)
    }

    /// Handles the loss of the connection.
    ///
    /// The answer to a question that is under way serves the next log-in.
    mutating func connectionLost() {
        unanswered = nil
        if case .loggedIn(_, let renewal) = phase {
            phase = if case .asking(let question) = renewal { .askingForLogIn(question) } else { .loggedOut }
        }
    }

    // MARK: Answers

    /// Handles the answer of the source to the question with a number.
    mutating func answered(
        _ number: Int,
        _ answer: Result<Credentials, AMQPError>,
        at now: ContinuousClock.Instant
    ) -> Action? {
        switch phase {
        case .askingForLogIn(let question) where question.number == number:
            do throws(AMQPError) {
                phase = .ready(try Self.checked(answer, at: now), until: now + Self.answerLife)
                return nil
            } catch {
                phase = .loggedOut
                return .failLogIn(error)
            }
        case .loggedIn(let old, .asking(let question)) where question.number == number:
            do throws(AMQPError) {
                return renewed(old, by: try Self.checked(answer, at: now), at: now)
            } catch {
                return failed(error, at: now)
            }
        default: return nil
        }
    }

    private static func checked(
        _ answer: Result<Credentials, AMQPError>,
        at now: ContinuousClock.Instant
    ) throws(AMQPError) -> Credentials {
        let credentials = try answer.get()
        if let fault = credentials.fault {
            throw AMQPError(.credentialsUnavailable, "The source of the client's credentials is at fault: \(fault).")
        }
        guard let expiresAt = credentials.expiresAt, expiresAt <= now else { return credentials }
        throw AMQPError(
            .credentialsUnavailable,
            "The source of the client's credentials returned some of \(credentials) that have expired already."
        )
    }

    private mutating func renewed(
        _ old: Credentials,
        by new: Credentials,
        at now: ContinuousClock.Instant
    ) -> Action? {
        guard old.canBecome(new) else {
            phase = .loggedIn(old, .none)
            return .keepForNextLogIn
        }
        guard old.mechanism != new.mechanism else {
            succeeded(with: new, at: now)
            return nil
        }
        unanswered = new
        phase = .loggedIn(old, .sent(deadline: now + limit))
        return .send(new)
    }

    /// Handles the broker's answer: the new secret is in use.
    mutating func updated(at now: ContinuousClock.Instant) {
        guard let credentials = unanswered, case .loggedIn = phase else { return }
        succeeded(with: credentials, at: now)
    }

    /// Handles a new secret that could not be sent.
    mutating func failedToSend(_ error: AMQPError, at now: ContinuousClock.Instant) -> Action? {
        unanswered = nil
        return failed(error, at: now)
    }

    private mutating func succeeded(with credentials: Credentials, at now: ContinuousClock.Instant) {
        unanswered = nil
        failure = nil
        pauses.reset()
        guard let expiresAt = credentials.expiresAt else {
            phase = .loggedIn(credentials, .none)
            return
        }
        let pause = max(now.duration(to: expiresAt) * Self.renewalPoint, Self.shortestPause)
        phase = .loggedIn(credentials, .due(now + pause))
    }

    private mutating func failed(_ error: AMQPError, at now: ContinuousClock.Instant) -> Action? {
        guard case .loggedIn(let credentials, _) = phase else { return nil }
        let pause = pauses.next()
        failure = error
        phase = .loggedIn(credentials, .due(now + pause))
        return .report(error, pause: pause)
    }

    // MARK: Time

    /// Handles the passing of time.
    mutating func expire(at now: ContinuousClock.Instant) -> Action? {
        guard let nextDeadline, nextDeadline <= now else { return nil }
        switch phase {
        case .loggedIn(let credentials, .due):
            let question = ask(at: now)
            phase = .loggedIn(credentials, .asking(question))
            return .ask(number: question.number)
        case .askingForLogIn:
            phase = .loggedOut
            return .failLogIn(unansweredBySource)
        case .loggedIn(_, .asking): return failed(unansweredBySource, at: now)
        case .loggedIn(_, .sent):
            // The broker may yet answer, as after an alarm; then that counts.
            return failed(
                AMQPError(.credentialsUnavailable, "The broker has not answered for \(limit) to a new secret."),
                at: now
            )
        case .loggedOut, .ready, .loggedIn(_, .none): return nil
        }
    }

    private var unansweredBySource: AMQPError {
        AMQPError(
            .credentialsUnavailable,
            "The source of the client's credentials did not answer within \(limit). Nothing was sent."
        )
    }

    private mutating func ask(at now: ContinuousClock.Instant) -> Question {
        questions += 1
        return Question(number: questions, deadline: now + limit)
    }
}
