import Foundation

/// The brokers of one run, started when they are first needed.
actor FaultBrokers {
    private let version: String
    private let prefix = "faults-\(ProcessInfo.processInfo.processIdentifier)"
    private var started: [FaultBroker] = []

    init(version: String) { self.version = version }

    /// The broker that most experiments share, running whatever the one before did to it.
    func shared() async throws -> FaultBroker { try await broker("\(prefix)-one", nodes: 1) }

    /// Three nodes.
    func cluster() async throws -> FaultBroker { try await broker("\(prefix)-three", nodes: 3) }

    private func broker(_ name: String, nodes: Int) async throws -> FaultBroker {
        if let broker = started.first(where: { $0.name == name }) {
            try await broker.start()
            return broker
        }
        StatusLine.show("starting RabbitMQ \(version), nodes: \(nodes)")
        let broker = try FaultBroker(name: name)
        started.append(broker)
        try await broker.create(nodes: nodes, version: version)
        return broker
    }

    /// Ends a broker that no other experiment needs.
    func end(_ broker: FaultBroker) async throws {
        try await broker.wipe()
        started.removeAll { $0.name == broker.name }
    }

    /// Ends all, and deletes their data.
    func endAll() async {
        for broker in started {
            do { try await broker.wipe() } catch { Surroundings.say("\(error)") }
        }
        started = []
    }
}
