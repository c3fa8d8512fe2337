public import AMQP
public import Testing
public import Warren

/// Gives each test its own ``TestBench``, and checks it for leaks afterwards.
public struct EmbeddedBrokerTrait: TestTrait, SuiteTrait, TestScoping {
    let topology: Topology
    let version: BrokerVersion

    /// True: a suite's trait applies to each of its tests.
    public var isRecursive: Bool { true }

    /// Runs a test with a new bench, and then records an issue for each leak.
    @concurrent public func provideScope(
        for test: Test,
        testCase: Test.Case?,
        performing function: @concurrent @Sendable () async throws -> Void
    ) async throws {
        let bench = TestBench(topology: topology, version: version)
        try await bench.bind(function)
        for leak in bench.leaks() { Issue.record("\(leak)", sourceLocation: test.sourceLocation) }
    }
}

extension Trait where Self == EmbeddedBrokerTrait {
    /// A ``TestBench`` for each test: a broker in this process and a clock that stands still.
    public static var embeddedBroker: Self { embeddedBroker(topology: Topology()) }

    /// A ``TestBench`` for each test, with the application's topology.
    ///
    /// - Parameter topology: The application's topology.
    /// - Parameter version: The version of RabbitMQ that the broker behaves as.
    public static func embeddedBroker(
        topology: Topology,
        version: BrokerVersion = BrokerVersion(4, 3)
    ) -> Self {
        EmbeddedBrokerTrait(topology: topology, version: version)
    }
}
