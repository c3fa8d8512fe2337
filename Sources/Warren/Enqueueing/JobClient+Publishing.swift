import AMQP

#if canImport(FoundationEssentials)
import FoundationEssentials
#else
import Foundation
#endif

extension JobClient {
    /// Checks a request, declares what is missing, publishes, and waits for the confirm.
    func publish(_ request: EnqueueRequest) async throws -> EnqueuedJob {
        let now = now()
        try JobName.validate(request.name)
        try JobID.validate(request.id)
        try request.timeLimits.validate(job: request.name)
        try checkTimes(of: request, now: now)
        let message = try writer.message(
            payload: request.payload,
            EnvelopeWriter.Fields(
                id: request.id,
                name: request.name,
                lane: request.lane,
                eta: request.dueAt,
                expires: request.expiresAt,
                timeLimits: request.timeLimits,
                rootID: request.rootID,
                parentID: request.parentID,
                headers: request.headers,
                now: now
            )
        )
        let route = Route(queue: request.queue, lane: request.lane, dueAt: request.dueAt, topology: topology)
        let entry = SpoolEntry(route: route, message: message)
        return EnqueuedJob(
            id: request.id,
            name: request.name,
            queue: request.queue,
            lane: request.lane,
            dueAt: request.dueAt,
            expiresAt: request.expiresAt,
            isSpooled: try await sendOrSpool(entry, deadline: request.deadline)
        )
    }

    private func checkTimes(of request: EnqueueRequest, now: Date) throws(WarrenError) {
        if let expires = request.expiresAt, expires <= request.dueAt ?? now {
            throw WarrenError(
                .invalidExpiry,
                "The job '\(request.name.truncated(toBytes: 80))' would expire before it is due: no worker would ever start it."
            )
        }
        // Checked once more, because a middleware may have changed it.
        if let dueAt = request.dueAt { _ = try Timing.due(delay: nil, at: dueAt, now: now) }
    }

    /// Declares what is missing, publishes, and waits for the confirm.
    ///
    /// - Throws: ``WarrenError``.
    func send(_ entry: SpoolEntry, deadline: ContinuousClock.Instant) async throws {
        let (destination, throughLadder) = entry.route.destination(now: now())
        try await prepare(entry, throughLadder: throughLadder, deadline: deadline)
        do {
            try await transport.publish(entry.message, to: destination, mandatory: true, deadline: deadline)
        } catch  where error.code == .unroutable || error.code == .notFound {
            // Someone deleted the queue or an exchange since this client declared it.
            guard directory.forget(entry.route.queue) else { throw notEnqueued(entry, error) }
            try await prepare(entry, throughLadder: throughLadder, deadline: deadline)
            do {
                try await transport.publish(entry.message, to: destination, mandatory: true, deadline: deadline)
            } catch {
                throw notEnqueued(entry, error)
            }
        } catch {
            throw notEnqueued(entry, error)
        }
    }

    /// Declares what is missing for a job.
    func prepare(_ entry: SpoolEntry, throughLadder: Bool, deadline: ContinuousClock.Instant) async throws {
        try await directory.prepare(entry.route.queue, entry.route.lane, throughLadder: throughLadder, deadline: deadline)
    }

    private func notEnqueued(_ entry: SpoolEntry, _ error: AMQPError) -> WarrenError {
        let certainty =
            error.outcomeIsKnown ? "was not enqueued" : "may or may not have been enqueued"
        return WarrenError(
            .notEnqueued,
            "The job '\(entry.name.truncated(toBytes: 80))' (\(entry.id)) for the queue '\(entry.route.queue)' \(certainty)",
            underlying: error
        )
    }
}
