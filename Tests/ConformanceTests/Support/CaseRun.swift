import AMQP
import Synchronization
import TestSupport
import Testing

/// One run of one case on one broker: its connections, and the queues and exchanges to delete after it.
final class CaseRun: Sendable {
    /// The run of the case that the current task belongs to.
    @TaskLocal static var current: CaseRun?

    private struct State {
        var control: (any BrokerControl)?
        var product: ConformanceBroker.Product?
        var connections: [any Transport] = []
        var queues: [String] = []
        var exchanges: [String] = []
    }

    private let state = Mutex(State())

    /// The broker that the case has used; `nil` if it has used none.
    var product: ConformanceBroker.Product? { state.withLock { $0.product } }

    /// The control of the broker that the case runs on.
    func control(_ broker: ConformanceBroker) -> any BrokerControl {
        state.withLock { state in
            if let control = state.control { return control }
            let control = broker.makeControl()
            state.control = control
            state.product = broker.product
            return control
        }
    }

    /// The first connection.
    func transport(_ broker: ConformanceBroker) -> any Transport {
        let control = control(broker)
        return state.withLock { state in
            if let transport = state.connections.first { return transport }
            let transport = control.connect()
            state.connections.append(transport)
            return transport
        }
    }

    /// Opens another connection.
    func connect(_ broker: ConformanceBroker) -> any Transport {
        _ = transport(broker)
        let connection = control(broker).connect()
        state.withLock { $0.connections.append(connection) }
        return connection
    }

    func willDelete(queue: String) { state.withLock { $0.queues.append(queue) } }

    func willDelete(exchange: String) { state.withLock { $0.exchanges.append(exchange) } }

    /// Deletes everything that the case declared, and closes its connections.
    func end() async {
        let state = state.withLock { $0 }
        guard let transport = state.connections.first else { return }
        // The others first: the first one can't delete their exclusive queues.
        for connection in state.connections.dropFirst() { await connection.close() }
        for queue in state.queues { _ = try? await transport.deleteQueue(queue) }
        for exchange in state.exchanges { try? await transport.deleteExchange(exchange) }
        await transport.close()
    }
}

/// Gives each run of a case its ``CaseRun``, and counts it.
struct CaseTrait: SuiteTrait, TestTrait, TestScoping {
    /// The number of cases at a time that RabbitMQ serves promptly on two cores: some cases check deadlines of 50 ms.
    private static let permits = Permits(12)
    private static let counts = Mutex<[ConformanceBroker.Product: Int]>([:])

    /// The number of runs on a broker.
    static func count(on product: ConformanceBroker.Product) -> Int { counts.withLock { $0[product] ?? 0 } }

    var isRecursive: Bool { true }

    func provideScope(
        for test: Test,
        testCase: Test.Case?,
        performing function: @concurrent @Sendable () async throws -> Void
    ) async throws {
        try await Self.permits.hold {
            let run = CaseRun()
            let result: Result<Void, any Error>
            do {
                try await CaseRun.$current.withValue(run) { try await function() }
                result = .success(())
            } catch { result = .failure(error) }
            await run.end()
            if let product = run.product { Self.counts.withLock { $0[product, default: 0] += 1 } }
            try result.get()
        }
    }
}

extension ConformanceBroker {
    fileprivate func makeControl() -> any BrokerControl {
        switch product {
        case .rabbitMQ where isDisturbable:
            RabbitMQControl(url: PrivateBrokerTrait.broker?.url ?? "", privateBroker: PrivateBrokerTrait.broker)
        case .rabbitMQ: RabbitMQControl(url: TestBroker.url ?? "")
        case .embedded: EmbeddedBrokerControl(version: version)
        }
    }
}
