public import AMQP

#if canImport(FoundationEssentials)
public import FoundationEssentials
#else
public import Foundation
#endif

extension Envelope {
    /// A new job's envelope, as a client sends it.
    ///
    /// - Parameter id: The job's id; a new one by default.
    /// - Parameter eta: When the job is due, if not at once.
    /// - Parameter expires: After when the job is not to be started.
    /// - Parameter timeLimits: How long an attempt may take, where it isn't for the job's type to say.
    /// - Parameter headers: More headers; those that the protocol needs can't be replaced.
    /// - Throws: ``WarrenError`` with `payloadNotEncodable`, `payloadTooLarge` or `headersTooLarge`.
    public init(
        encoding job: some Job,
        id: String? = nil,
        lane: Lane = .normal,
        eta: Date? = nil,
        expires: Date? = nil,
        timeLimits: TimeLimits = .none,
        headers: FieldTable = FieldTable(),
        now: Date
    ) throws(WarrenError) {
        let name = type(of: job).name
        let id = id ?? JobID.make(now: now)
        let fields = EnvelopeWriter.Fields(
            id: id,
            name: name,
            lane: lane,
            eta: eta,
            expires: expires,
            timeLimits: timeLimits,
            headers: headers,
            now: now
        )
        let message = try EnvelopeWriter().message(payload: try EnvelopeWriter.encode(job), fields)
        self.init(id: id, name: name, retries: 0, eta: eta, expires: expires, timeLimits: timeLimits, message: message)
    }
}
