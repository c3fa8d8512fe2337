/// How a worker's dealings with one delivery ended: the fact that ``Outcome/decide(_:envelope:policy:expiryPolicy:now:using:)`` judges.
public enum AttemptResult: Sendable {
    /// The handler returned.
    case returned
    /// The handler, or a middleware, threw.
    case threw(any Error)
    /// The message or its payload can't be read; the handler was not called.
    case undecodable(EnvelopeError)
    /// No handler has the job's name.
    case unknownName
    /// The job had expired when its turn came.
    case expired
    /// The worker stops and did not start the job, or cancelled it at the end of its patience.
    case interrupted
    /// The job took its workers down so often that it is not started again.
    case deliveredTooOften(CrashHistory)
}
