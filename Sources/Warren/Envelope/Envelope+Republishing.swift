public import AMQP

#if canImport(FoundationEssentials)
public import FoundationEssentials
#else
public import Foundation
#endif

extension Envelope {
    /// The message for the next attempt.
    ///
    /// Body, id and all headers stay, but `retries` is one higher, `eta` says when it is due, `parent_id` is the job's own id (as
    /// Celery has it), the failure is added to the history, and what a broker added on the way (`x-death` and its like) is gone.
    public func retried(after delay: Duration, error: any Error, worker: String, now: Date) -> Message {
        Envelope.republished(message) { headers in
            headers[EnvelopeHeader.retries] = .integer(Int64(retries + 1))
            headers[EnvelopeHeader.eta] = .string(WireTime.text(now.addingTimeInterval(delay / .seconds(1))))
            headers[EnvelopeHeader.parentID] = .string(id)
            var record = FailureRecord(headers: headers)
            record.add(ErrorDescription(error), attempt: attempt, worker: worker, now: now)
            record.clearDeath()
            record.write(to: &headers)
        }
    }

    /// The message for the dead queue: as it came, with the record in its headers and without what a broker added on the way.
    ///
    /// It takes any message, because what can't be read as an envelope must be kept too.
    public static func deadLetter(_ message: Message, record: FailureRecord) -> Message {
        republished(message) { record.write(to: &$0) }
    }

    /// The message for the parked queue: as it came, with where it came from, without what a broker added on the way.
    public static func parked(_ message: Message, from destination: Destination, now: Date) -> Message {
        republished(message) { headers in
            headers[EnvelopeHeader.originalExchange] = .string(destination.exchange.truncated(toBytes: 255))
            headers[EnvelopeHeader.originalRoutingKey] = .string(destination.routingKey.truncated(toBytes: 255))
            headers[EnvelopeHeader.parkedAt] = .string(WireTime.text(now))
        }
    }

    /// A dead letter or parked message as it was before, with all its attempts: without the record, `retries` back at 0.
    ///
    /// An `eta` goes too, and an `expires` that has passed or can't be read, so that the job runs when it is replayed.
    public static func replayed(_ message: Message, now: Date) -> Message {
        republished(message) { headers in
            FailureRecord.remove(from: &headers)
            headers[EnvelopeHeader.parkedAt] = nil
            headers[EnvelopeHeader.retries] = 0
            if headers[EnvelopeHeader.eta] != nil { headers[EnvelopeHeader.eta] = .void }
            if let expires = headers[EnvelopeHeader.expires], WireTime.date(expires).map({ $0 <= now }) ?? true {
                headers[EnvelopeHeader.expires] = .void
            }
        }
    }

    /// A copy to publish.
    ///
    /// It has no `expiration`, with which the broker would drop it on the way or cut a delay short, and no user,
    /// because the broker refuses any but the publisher's own.
    private static func republished(_ message: Message, change: (inout FieldTable) -> Void) -> Message {
        var message = message
        var headers = message.properties.headers ?? FieldTable()
        BrokerHeaders.remove(from: &headers)
        change(&headers)
        HeaderBudget.fit(&headers)
        message.properties.headers = headers
        message.properties.expiration = nil
        message.properties.userID = nil
        message.properties.deliveryMode = .persistent
        return message
    }
}
