import AMQP

/// One step of a random sequence, on queues, exchanges and consumers that are known by small numbers.
///
/// Any step is possible at any time. Both brokers must refuse a step that can't succeed in the same way.
enum Operation: Sendable {
    /// The number of queues that are declared at random.
    static let queues = 3
    /// Another queue, which exists from the start, has no limits, and takes the dead letters.
    static let lastQueue = 3
    static let exchanges = 2
    static let consumers = 3
    static let keys = ["a", "a.b", "b", "#", "*.b"]

    /// The settlement of a delivery.
    enum Settlement: String, Sendable, CaseIterable {
        case ack
        case requeue
        case discard
        case rejectToQueue
        case reject
    }

    case declareQueue(Int, QueueProfile)
    case declareExchange(Int, ExchangeKind)
    case bind(exchange: Int, queue: Int, key: String)
    case bindExchange(Int, to: Int, key: String)
    case unbind(exchange: Int, queue: Int, key: String)
    case publish(exchange: Int?, key: String, priority: UInt8?, mandatory: Bool)
    case get(queue: Int)
    case consume(consumer: Int, queue: Int, prefetch: UInt16)
    case cancel(consumer: Int)
    case close(consumer: Int)
    /// Settles a delivery of a consumer, or one that was got singly (`nil`): the unsettled one at this index, modulo
    /// their number.
    case settle(consumer: Int?, index: Int, Settlement)
    case purge(queue: Int)
    case deleteQueue(Int)
    case deleteExchange(Int)
    /// Closes the connection that consumes and gets.
    case closeConnection
}

extension Operation: CustomStringConvertible {
    var description: String {
        switch self {
        case .declareQueue(let queue, let profile): "declare q\(queue) \(profile.rawValue)"
        case .declareExchange(let exchange, let kind): "declare e\(exchange) \(kind.rawValue)"
        case .bind(let exchange, let queue, let key): "bind q\(queue) to e\(exchange) by '\(key)'"
        case .bindExchange(let target, let source, let key): "bind e\(target) to e\(source) by '\(key)'"
        case .unbind(let exchange, let queue, let key): "unbind q\(queue) from e\(exchange) by '\(key)'"
        case .publish(let exchange, let key, let priority, let mandatory):
            "publish to \(exchange.map { "e\($0)" } ?? "queue") '\(key)'\(priority.map { ", priority \($0)" } ?? "")"
                + (mandatory ? ", mandatory" : "")
        case .get(let queue): "get q\(queue)"
        case .consume(let consumer, let queue, let prefetch): "consume q\(queue) as c\(consumer), prefetch \(prefetch)"
        case .cancel(let consumer): "cancel c\(consumer)"
        case .close(let consumer): "close c\(consumer)"
        case .settle(let consumer, let index, let settlement):
            "\(settlement.rawValue) \(consumer.map { "c\($0)" } ?? "got") #\(index)"
        case .purge(let queue): "purge q\(queue)"
        case .deleteQueue(let queue): "delete q\(queue)"
        case .deleteExchange(let exchange): "delete e\(exchange)"
        case .closeConnection: "close the connection"
        }
    }
}

/// The kinds of queues in a random sequence.
///
/// None depends on the passing of time, which differs between the two brokers.
enum QueueProfile: String, Sendable, CaseIterable {
    case classic
    case classicDead
    case classicShort
    case classicRefusing
    case classicPriorities
    case classicPassing
    case classicSingleConsumer
    case autoDelete
    case quorum
    case quorumLimited
    case quorumShort

    var isQuorum: Bool { [.quorum, .quorumLimited, .quorumShort].contains(self) }

    /// Whether it dead-letters messages by itself.
    var hasSurplus: Bool { [.classicShort, .classicPassing, .quorumShort].contains(self) }

    /// The declaration of a queue; rejected messages go to one queue, surplus and expired ones to another.
    ///
    /// With a single one, full queues in a ring would hide a dead letter that is still on its way: no count would
    /// change.
    func declaration(_ name: String, refusedTo next: String, surplusTo last: String) -> QueueDeclaration {
        var arguments = QueueArguments(isQuorum ? .quorum : .classic)
        if [.classicDead, .classicShort, .classicPassing, .quorumLimited, .quorumShort].contains(self) {
            arguments.deadLetterExchange = ""
            arguments.deadLetterRoutingKey = [.classicDead, .quorumLimited].contains(self) ? next : last
        }
        switch self {
        case .classicShort, .quorumShort: arguments.maxLength = 2
        case .classicRefusing:
            arguments.maxLength = 2
            arguments.overflow = .rejectPublish
        case .classicPriorities: arguments.maxPriority = 3
        case .classicPassing: arguments.messageTTL = .zero
        case .classicSingleConsumer: arguments.singleActiveConsumer = true
        case .quorumLimited: arguments.deliveryLimit = 2
        case .classic, .classicDead, .autoDelete, .quorum: break
        }
        return QueueDeclaration(name, isAutoDelete: self == .autoDelete, arguments: arguments)
    }
}
