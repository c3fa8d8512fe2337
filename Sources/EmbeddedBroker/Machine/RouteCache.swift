import AMQP

/// Where messages to a destination went last, as long as no binding, queue or exchange has changed.
struct RouteCache: Sendable {
    /// A bound, for programs with ever new routing keys.
    private static let limit = 4_096

    private var routes: [Destination: [QueueID]] = [:]

    init() {}

    subscript(destination: Destination) -> [QueueID]? { routes[destination] }

    mutating func note(_ queues: [QueueID], for destination: Destination) {
        if routes.count >= Self.limit { routes = [:] }
        routes[destination] = queues
    }

    mutating func clear() {
        if !routes.isEmpty { routes = [:] }
    }
}
