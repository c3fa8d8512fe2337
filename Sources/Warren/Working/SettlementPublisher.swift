import AMQP
import Logging
import Metrics

/// Publishes on behalf of a ``Settlement``: confirmed, as `mandatory`, and with patience.
struct SettlementPublisher: Sendable {
    /// How long one attempt may take.
    private static let attemptTimeout: Duration = .seconds(15)
    /// How often a publish is tried before the original goes back to its queue.
    private static let attempts = 5

    let transport: any Transport
    let clock: any Clock<Duration>
    /// Opens when the ladder was declared, or at once in a worker that declares nothing.
    let ladderIsReady: Latch
    /// Declares the queue anew, where something of it is missing.
    let restoreTopology: @Sendable () async throws(AMQPError) -> Void
    private let failures: Counter

    init(
        queue: QueueName,
        transport: any Transport,
        clock: any Clock<Duration>,
        ladderIsReady: Latch,
        restoreTopology: @escaping @Sendable () async throws(AMQPError) -> Void
    ) {
        self.transport = transport
        self.clock = clock
        self.ladderIsReady = ladderIsReady
        self.restoreTopology = restoreTopology
        failures = Counter(label: "warren_settlement_failures", dimensions: [("queue", queue.rawValue)])
    }

    func countFailure() { failures.increment() }

    /// Publishes and waits for the confirm; tries again what may pass, after growing pauses.
    ///
    /// Trying again after an unknown outcome can make a second copy; handing the original back would make one for certain.
    ///
    /// - Parameter refusalIsFinal: Whether a `nacked`, as of a full queue, is to be reported at once.
    func publish(_ message: Message, to destination: Destination, refusalIsFinal: Bool = false) async throws(AMQPError)
    {
        // A shield: shutdown cancels jobs, and must not cancel the publish that makes a job's outcome durable.
        let result = await Task { () async -> Result<Void, AMQPError> in
            do throws(AMQPError) {
                return .success(try await publishPatiently(message, to: destination, refusalIsFinal))
            } catch {
                return .failure(error)
            }
        }.value
        try result.get()
    }

    private func publishPatiently(
        _ message: Message,
        to destination: Destination,
        _ refusalIsFinal: Bool
    ) async throws(AMQPError) {
        if destination.exchange.hasPrefix(DelayLadder.namePrefix) { await ladderIsReady.wait() }
        var backoff = Backoff(from: .milliseconds(100), to: .seconds(2))
        var attempt = 1
        while true {
            do {
                let deadline = ContinuousClock.now + Self.attemptTimeout
                return try await transport.publish(message, to: destination, mandatory: true, deadline: deadline)
            } catch {
                let isMissing = error.code == .notFound || error.code == .unroutable
                let isFinal = refusalIsFinal && error.code == .nacked
                guard attempt < Self.attempts, !isFinal, error.isRetriable || isMissing && attempt == 1 else {
                    throw error
                }
                if isMissing { try await restoreTopology() }
            }
            attempt += 1
            try? await clock.sleep(for: backoff.next())
        }
    }
}
