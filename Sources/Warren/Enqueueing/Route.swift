import AMQP

#if canImport(FoundationEssentials)
import FoundationEssentials
#else
import Foundation
#endif

/// The way of a job to its queue: directly, or down the delay ladder until it is due.
///
/// A route names the lane, not the level of the ladder: that follows from the time left when the job is published, so a
/// route can be kept (as a ``Spool`` does) and used later.
struct Route: Sendable, Hashable {
    /// The queue that the job goes to.
    var queue: QueueName
    /// The lane of the queue.
    var lane: Lane
    /// The time at which the job is due; `nil` for at once.
    var dueAt: Date?
    /// The destination to which the job is published once it is due.
    var destination: Destination

    /// A route to a lane, through the exchange of the application.
    init(queue: QueueName, lane: Lane, dueAt: Date?, topology: Topology) {
        let destination = Destination(exchange: topology.exchange, routingKey: lane.queue(of: queue))
        self.init(queue: queue, lane: lane, dueAt: dueAt, destination: destination)
    }

    /// A route with this destination.
    init(queue: QueueName, lane: Lane, dueAt: Date?, destination: Destination) {
        self.queue = queue
        self.lane = lane
        self.dueAt = dueAt
        self.destination = destination
    }

    /// The destination at which to publish the job now, and whether that is the delay ladder.
    func destination(now: Date) -> (destination: Destination, throughLadder: Bool) {
        guard let dueAt, let ladder = Self.ladder(after: Timing.duration(from: now, to: dueAt), to: destination) else {
            return (destination, false)
        }
        return (ladder, true)
    }

    /// The destination at which to publish a message so that it reaches `destination` after `delay`.
    ///
    /// That is the delay ladder for a second and more. A shorter delay is left to the worker that receives the message:
    /// it waits until the message's `eta`.
    static func destination(after delay: Duration, to destination: Destination) -> Destination {
        ladder(after: delay, to: destination) ?? destination
    }

    /// The destination that a delivered message had before it went down the ladder; its own if it came directly.
    ///
    /// - Parameter destination: The exchange and routing key with which the message was delivered.
    static func origin(of destination: Destination, in topology: Topology) -> Destination {
        guard let key = DelayLadder.destination(fromRoutingKey: destination.routingKey) else { return destination }
        return Destination(exchange: topology.exchange, routingKey: key)
    }

    private static func ladder(after delay: Duration, to destination: Destination) -> Destination? {
        DelayLadder.route(delay, to: destination.routingKey)
    }
}

/// Arithmetic of delays, due times and expiries, with the limits of each.
enum Timing {
    /// The time at which a job is due; `nil` for at once.
    ///
    /// - Throws: `invalidDelay` if the delay is negative or longer than the ladder's, or if both are given.
    static func due(delay: Duration?, at date: Date?, now: Date) throws(WarrenError) -> Date? {
        let wait: Duration
        switch (delay, date) {
        case (nil, nil): return nil
        case (let delay?, nil): wait = delay
        case (nil, let date?): wait = duration(from: now, to: date)
        case (_?, _?): throw WarrenError(.invalidDelay, "A job has a delay or a time at which it is due, not both.")
        }
        if delay != nil, wait < .zero { throw WarrenError(.invalidDelay, "The delay is negative: \(wait).") }
        guard wait <= RetryPolicy.longestDelay else {
            throw WarrenError(.invalidDelay, "The delay is longer than 2^28 - 1 seconds, about eight and a half years.")
        }
        return wait <= .zero ? nil : date ?? now.addingTimeInterval(wait / .seconds(1))
    }

    /// The time at which a job expires: its time to live after it is due.
    static func expiry(after timeToLive: Duration?, due: Date?, now: Date) -> Date? {
        timeToLive.map { (due ?? now).addingTimeInterval(max(.zero, $0) / .seconds(1)) }
    }

    /// The duration from one time to another, at most a millennium; zero if a time isn't a number.
    static func duration(from now: Date, to date: Date) -> Duration {
        let seconds = date.timeIntervalSince(now)
        guard !seconds.isNaN else { return .zero }
        return .seconds(min(max(seconds, -31_556_952_000), 31_556_952_000))
    }
}
