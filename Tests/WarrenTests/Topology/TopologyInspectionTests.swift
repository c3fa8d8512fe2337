import AMQP
import Testing

@testable import Warren

@Suite struct TopologyInspectionTests {
    @Test func `Looking at a broker that has nothing finds all missing, and declares none of it`() async throws {
        let broker = RecordingTransport()
        let plan = Topology(queues: [QueueConfiguration("emails")]).plan(broker: BrokerVersion(4, 0))
        let inspection = try await plan.inspect(on: broker)
        #expect(inspection.missing.map(\.name) == plan.entries.filter { $0.kind != "binding" }.map(\.name))
        #expect(inspection.planned == inspection.missing.count)
        #expect(inspection.differences.isEmpty && inspection.notCompared.isEmpty)
        #expect(broker.exchanges.isEmpty && broker.queues.isEmpty && broker.bindings.isEmpty)
    }
}
