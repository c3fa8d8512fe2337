import AMQP

/// Publishes to the broker, or puts the job into the spool if the broker can't take it now.
struct SpoolingPublisher: JobPublisher {
    /// The most that is kept of a job's time for the disk to write it, should the broker not answer in time.
    private static let diskReserve: Duration = .milliseconds(200)
    /// The time past the deadline that a slow disk gets.
    private static let diskGrace: Duration = .milliseconds(25)

    let broker: BrokerPublisher
    let spool: Spool
    let clock: any Clock<Duration>

    func publish(_ message: Message, along route: Route, deadline: ContinuousClock.Instant) async throws -> Bool {
        // A job that no broker could take is returned to the caller as an error, and not spooled.
        try broker.validate(route)
        let timeLeft = max(.zero, ContinuousClock.now.duration(to: deadline))
        var cause: AMQPError?
        // Behind jobs that wait, a new one must wait too, so that their order is kept.
        if !spool.hasWaiting {
            let reserve = min(Self.diskReserve, timeLeft / 4)
            do {
                return try await broker.publish(message, along: route, deadline: deadline - reserve)
            } catch let error as WarrenError {
                guard let broker = error.broker, broker.isRetriable || broker.code == .closed else { throw error }
                cause = broker
            }
        }
        let entry = SpoolEntry(route: route, message: message)
        try await spool.append(entry, cause: cause, deadline: deadline + Self.diskGrace, clock: clock)
        return true
    }
}
