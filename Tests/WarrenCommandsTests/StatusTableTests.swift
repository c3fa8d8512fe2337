import AMQP
import Foundation
import Testing
import Warren

@testable import WarrenCommands

struct StatusTableTests {
    private func status(_ json: String) throws -> LaneStatus {
        try JSONDecoder().decode(LaneStatus.self, from: Data(json.utf8))
    }

    @Test func `Lanes show waiting jobs and consumers, a missing queue shows neither, and the ladder is one row`()
        throws
    {
        let lanes = [
            try status(#"{"queue":"a","lane":"normal","name":"a","exists":true,"ready":12,"consumers":3}"#),
            try status(#"{"queue":"a","lane":"dead","name":"a.dead","exists":true,"ready":1,"consumers":0}"#),
            try status(#"{"queue":"a","lane":"parked","name":"a.parked","exists":false,"ready":0,"consumers":0}"#),
        ]
        let ladder = try (0..<2).map { level in
            let name = DelayLadder.name(ofLevel: level)
            return try status(#"{"queue":"d","lane":"l","name":"\#(name)","exists":true,"ready":4,"consumers":0}"#)
        }
        let cells = StatusTable.text(lanes, ladder: ladder).split(separator: "\n").map { line in
            line.split(separator: " ").map(String.init)
        }
        #expect(
            cells == [
                ["QUEUE", "LANE", "WAITING", "CONSUMERS"], ["a", "normal", "12", "3"], ["a", "dead", "1", "-"],
                ["a", "parked", "-", "-"], ["(delayed,", "all", "applications)", "8", "-"],
            ]
        )
    }

    @Test func `A plan is a row for each declaration`() {
        let plan = SampleApplication.topology.plan(delays: false, broker: BrokerVersion(4, 3))
        let lines = TopologyPlanCommand<SampleApplication>.table(plan).split(separator: "\n")
        #expect(lines.count == plan.steps.count + 1)
        #expect(lines.contains { $0.hasPrefix("queue     reports.high ") })
    }
}
