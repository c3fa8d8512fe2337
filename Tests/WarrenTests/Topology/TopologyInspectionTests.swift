import AMQP
import EmbeddedBroker
import Testing

@testable import Warren

@Suite struct TopologyInspectionTests {
    @Test func `Looking at a broker that has nothing finds all missing, and declares none of it`() async throws {
        let broker = FaultyBroker()
        let exchanges = broker.embedded.exchangeNames
        let plan = Topology(queues: [QueueConfiguration("emails")]).plan(broker: broker.version)
        let inspection = try await plan.inspect(on: broker)
        #expect(inspection.missing.map(\.name) == plan.entries.filter { $0.kind != "binding" }.map(\.name))
        #expect(inspection.planned == inspection.missing.count)
        #expect(inspection.differences.isEmpty && inspection.notCompared.isEmpty)
        #expect(broker.requests.exchanges.isEmpty && broker.requests.queues.isEmpty && broker.requests.bindings.isEmpty)
        #expect(broker.embedded.queueNames.isEmpty && broker.embedded.exchangeNames == exchanges)
    }
}
