import AMQP

#if canImport(FoundationEssentials)
import FoundationEssentials
#else
import Foundation
#endif

extension JobClient {
    /// Checks a request, declares what is missing, publishes, and waits for the confirm.
    func publish(_ request: EnqueueRequest) async throws -> JobHandle {
        let now = now()
        try JobName.validate(request.name)
        try JobID.validate(request.id)
        let wait = try remainingDelay(of: request, now: now)
        let message = try writer.message(
            payload: request.payload,
            EnvelopeWriter.Fields(
                id: request.id,
                name: request.name,
                lane: request.lane,
                eta: request.dueAt,
                expires: request.expiresAt,
                rootID: request.rootID,
                parentID: request.parentID,
                headers: request.headers,
                now: now
            )
        )
        let key = request.lane.queue(of: request.queue)
        let ladder = wait.flatMap { DelayLadder.route($0, to: key) }
        let destination = ladder ?? Destination(exchange: topology.exchange, routingKey: key)
        try await publish(message, to: destination, throughLadder: ladder != nil, request)
        return JobHandle(
            id: request.id,
            name: request.name,
            queue: request.queue,
            lane: request.lane,
            dueAt: request.dueAt,
            expiresAt: request.expiresAt
        )
    }

    private func remainingDelay(of request: EnqueueRequest, now: Date) throws(WarrenError) -> Duration? {
        if let expires = request.expiresAt, expires <= request.dueAt ?? now {
            throw WarrenError(
                .invalidExpiry,
                "The job '\(excerpt(request.name, 80))' would expire before it is due: no worker would ever start it."
            )
        }
        guard let dueAt = request.dueAt else { return nil }
        // Checked once more, because a middleware may have changed it.
        _ = try Timing.due(delay: nil, at: dueAt, now: now)
        return Timing.duration(from: now, to: dueAt)
    }

    private func publish(
        _ message: Message,
        to destination: Destination,
        throughLadder: Bool,
        _ request: EnqueueRequest
    ) async throws {
        try await prepare(request, throughLadder)
        do {
            try await transport.publish(message, to: destination, mandatory: true, deadline: request.deadline)
        } catch  where error.code == .unroutable || error.code == .notFound {
            // Someone deleted the queue or an exchange since this client declared it.
            guard directory.forget(request.queue) else { throw notEnqueued(request, error) }
            try await prepare(request, throughLadder)
            do {
                try await transport.publish(message, to: destination, mandatory: true, deadline: request.deadline)
            } catch {
                throw notEnqueued(request, error)
            }
        } catch {
            throw notEnqueued(request, error)
        }
    }

    private func prepare(_ request: EnqueueRequest, _ throughLadder: Bool) async throws {
        try await directory.prepare(
            request.queue,
            request.lane,
            throughLadder: throughLadder,
            deadline: request.deadline
        )
    }

    private func notEnqueued(_ request: EnqueueRequest, _ error: AMQPError) -> WarrenError {
        let certainty =
            error.outcomeIsKnown ? "was not enqueued" : "may or may not have been enqueued"
        return WarrenError(
            .notEnqueued,
            "The job '\(excerpt(request.name, 80))' (\(request.id)) for the queue '\(request.queue)' \(certainty)",
            underlying: error
        )
    }
}
