import AMQP
public import ArgumentParser
import Warren

/// `status`: prints the depth and the consumers of each queue and lane.
public struct StatusCommand<App: WarrenApplication>: BrokerCommand {
    /// The command's name and help.
    public static var configuration: CommandConfiguration {
        CommandConfiguration(
            commandName: "status",
            abstract: "Show queues with their lanes, depths and consumers.",
            discussion: """
                WAITING counts the jobs that have not been delivered to a worker. AMQP does not report those that workers hold.

                With --json each line is an object: queue; lane (high, normal, low, dead, parked; or, for the delay ladder, \
                which all applications share, level-00 to level-27 and unrouted); name (on the broker); exists; ready; \
                consumers.
                """
        )
    }

    @OptionGroup var target: TargetOptions<App>
    @OptionGroup var management: ManagementOptions
    @OptionGroup var output: OutputOptions
    /// The broker and the log level.
    @OptionGroup public var brokerOptions: BrokerOptions

    /// Creates the command, for its parser.
    public init() {}

    /// Runs the command.
    public func run() async throws {
        let reader = try management.reader(brokerOptions)
        let (identity, lanes, ladder) = try await brokerOptions.withBroker(as: "status", of: App.self) { broker in
            let (topology, queues) = try await target.resolved(on: broker, reader)
            return (
                try await broker.broker(), try await topology.status(of: queues, on: broker),
                try await DelayLadder.status(on: broker)
            )
        }
        if output.isJSON {
            for status in lanes + ladder { try Output.json(status) }
        } else {
            Output.line("\(identity.product) \(identity.version)")
            Output.line(StatusTable.text(lanes, ladder: ladder))
        }
    }
}

/// The table that `status` prints.
enum StatusTable {
    static func text(_ lanes: [LaneStatus], ladder: [LaneStatus]) -> String {
        var table = TextTable([("QUEUE", .left), ("LANE", .left), ("WAITING", .right), ("CONSUMERS", .right)])
        for status in lanes {
            table.add([
                status.queue, status.lane, status.exists ? "\(status.ready)" : "-",
                // Nothing consumes a dead queue, and a parking-lot queue only now and then: a zero would look like a
                // fault.
                status.exists && status.isConsumed ? "\(status.consumers)" : "-",
            ])
        }
        let unrouted = ladder.filter { $0.name == DelayLadder.unroutedName }
        let levels = ladder.filter { $0.name != DelayLadder.unroutedName }
        table.add(["(delayed, all applications)", "", waiting(levels), "-"])
        if unrouted.contains(where: { $0.ready > 0 }) {
            table.add(["(delayed, undeliverable)", "", waiting(unrouted), "-"])
        }
        return table.text
    }

    private static func waiting(_ statuses: [LaneStatus]) -> String {
        statuses.contains(where: \.exists) ? "\(statuses.map(\.ready).reduce(0, +))" : "-"
    }
}

extension LaneStatus {
    fileprivate var isConsumed: Bool { lane != "dead" && lane != "parked" }
}
