/// What an application has on the broker: the name of its exchanges, and how its queues are made.
///
/// Clients, workers and commands of one application share this value, so that all declare the same.
public struct Topology: Sendable, Hashable {
    /// The application: the name of the exchange to which jobs are published; `warren.dead` takes its dead letters.
    public var application: String
    /// The queues that differ from the default.
    public var queues: [QueueConfiguration]

    /// The topology of an application.
    public init(application: String = "warren", queues: [QueueConfiguration] = []) {
        self.application = application
        self.queues = queues
    }

    /// The exchange to which jobs are published, with the lane's queue as the routing key.
    public var exchange: String { application }

    /// The exchange to which dead letters are published, with the queue as the routing key.
    public var deadExchange: String { application + ".dead" }

    /// How a queue is made: as configured, else the default.
    public func configuration(of queue: QueueName) -> QueueConfiguration {
        queues.first { $0.name == queue } ?? QueueConfiguration(queue)
    }

    /// Checks all names and limits.
    ///
    /// - Throws: ``WarrenError`` with `invalidQueueName` or `invalidConfiguration`.
    public func validate() throws(WarrenError) {
        let isPlain = application.utf8.allSatisfy(QueueName.isAllowed)
        guard isPlain, (1...199).contains(application.utf8.count), !application.hasPrefix("amq.") else {
            throw WarrenError(
                .invalidConfiguration,
                "'\(application)' can't be an application's name: 1 to 199 letters, digits, '-', '_', ':' and '.', not 'amq.…'."
            )
        }
        for configuration in queues { try configuration.validate() }
        if Set(queues.map(\.name)).count < queues.count {
            throw WarrenError(.invalidConfiguration, "A queue of application '\(application)' is configured twice.")
        }
    }
}
