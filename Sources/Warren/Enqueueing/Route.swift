import AMQP

#if canImport(FoundationEssentials)
import FoundationEssentials
#else
import Foundation
#endif

/// The way of a job to its queue: directly, or down the delay ladder until it is due.
///
/// A route names the lane, not the level of the ladder: that follows from the time left when the job is published, so a route can be
/// kept (as a ``Spool`` does) and used later.
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
    /// That is the delay ladder for a second and more. A shorter delay is left to the worker that receives the message: it waits until
    /// the message's `eta`.
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
