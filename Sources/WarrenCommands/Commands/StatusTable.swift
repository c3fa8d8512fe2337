import Warren

/// What `status` prints for people.
enum StatusTable {
    static func text(_ lanes: [LaneStatus], ladder: [LaneStatus]) -> String {
        var table = TextTable([("QUEUE", .left), ("LANE", .left), ("WAITING", .right), ("CONSUMERS", .right)])
        for status in lanes {
            table.add([
                status.queue, status.lane, status.exists ? "\(status.ready)" : "-",
                // Nobody consumes a dead queue, and a parked one is only looked through: a number would look like a fault.
                status.exists && status.isWorkedOn ? "\(status.consumers)" : "-",
            ])
        }
        let unrouted = ladder.filter { $0.name == DelayLadder.unroutedName }
        let levels = ladder.filter { $0.name != DelayLadder.unroutedName }
        table.add(["(delayed, all applications)", "", waiting(levels), "-"])
        if unrouted.contains(where: { $0.ready > 0 }) {
            table.add(["(delayed, nowhere to go)", "", waiting(unrouted), "-"])
        }
        return table.text
    }

    private static func waiting(_ statuses: [LaneStatus]) -> String {
        statuses.contains(where: \.exists) ? "\(statuses.map(\.ready).reduce(0, +))" : "-"
    }
}

extension LaneStatus {
    fileprivate var isWorkedOn: Bool { lane != "dead" && lane != "parked" }
}
