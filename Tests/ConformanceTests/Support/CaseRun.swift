import AMQP
import Synchronization
import TestSupport

/// One run of one case on one broker: its connections, and what is to be deleted after it.
final class CaseRun: Sendable {
    /// The run of the case that the current task belongs to.
    @TaskLocal static var current: CaseRun?

    private struct State {
        var broker: (any BrokerUnderTest)?
        var product: Broker.Product?
        var connections: [any Transport] = []
        var queues: [String] = []
        var exchanges: [String] = []
    }

    private let state = Mutex(State())

    /// The broker that the case has used; `nil` if it has used none.
    var product: Broker.Product? { state.withLock { $0.product } }

    /// What the case runs on.
    func broker(_ tested: Broker) -> any BrokerUnderTest {
        state.withLock { state in
            if let broker = state.broker { return broker }
            let broker = tested.underTest()
            state.broker = broker
            state.product = tested.product
            return broker
        }
    }

    /// The first connection.
    func transport(_ tested: Broker) -> any Transport {
        let broker = broker(tested)
        return state.withLock { state in
            if let transport = state.connections.first { return transport }
            let transport = broker.connect()
            state.connections.append(transport)
            return transport
        }
    }

    /// One more connection.
    func connect(_ tested: Broker) -> any Transport {
        _ = transport(tested)
        let connection = broker(tested).connect()
        state.withLock { $0.connections.append(connection) }
        return connection
    }

    func willDelete(queue: String) { state.withLock { $0.queues.append(queue) } }

    func willDelete(exchange: String) { state.withLock { $0.exchanges.append(exchange) } }

    /// Deletes what the case declared, and closes its connections.
    func end() async {
        let state = state.withLock { $0 }
        guard let transport = state.connections.first else { return }
        // The others first: what they have to themselves the first one can't delete.
        for connection in state.connections.dropFirst() { await connection.close() }
        for queue in state.queues { _ = try? await transport.deleteQueue(queue) }
        for exchange in state.exchanges { try? await transport.deleteExchange(exchange) }
        await transport.close()
    }
}

extension Broker {
    fileprivate func underTest() -> any BrokerUnderTest {
        switch product {
        case .rabbitMQ where isDisturbable:
            RabbitMQUnderTest(url: OwnBrokerTrait.broker?.url ?? "", own: OwnBrokerTrait.broker)
        case .rabbitMQ: RabbitMQUnderTest(url: TestBroker.url ?? "")
        case .embedded: EmbeddedBrokerUnderTest(version: version)
        }
    }
}
