import Foundation
import Subprocess

#if canImport(System)
import System
#else
import SystemPackage
#endif

/// A private broker, started by `compose/broker`.
struct FaultBroker: Sendable {
    let name: String
    private let script: String

    /// A node as `compose/broker status --json` reports it.
    struct Node: Decodable, Sendable {
        var node: Int
        var pid: Int32?
        var state: String
        var version: String
        var url: String
    }

    /// Creates the description of a broker of this name; nothing is started.
    init(name: String) throws {
        self.name = name
        script = try Self.findScript()
    }

    /// Starts the broker for the first time.
    func create(nodes: Int, version: String) async throws {
        _ = try await runScript("start", "--nodes", String(nodes), "--version", version)
    }

    /// Starts the nodes that aren't running.
    func start() async throws { _ = try await runScript("start") }

    /// Stops the broker cleanly.
    func stop() async throws { _ = try await runScript("stop") }

    /// Stops one node cleanly.
    func stop(node: Int) async throws { _ = try await runScript("stop", "--node", String(node)) }

    /// Stops the broker and deletes its data.
    func wipe() async throws { _ = try await runScript("stop", "--wipe") }

    /// Runs rabbitmqctl.
    @discardableResult
    func ctl(_ arguments: String...) async throws -> String { try await runScript("ctl", arguments) }

    func nodes() async throws -> [Node] {
        struct Status: Decodable { var nodes: [Node] }
        let text = try await runScript("status", ["--json"], isAnswerWithAnyCode: true)
        return try JSONDecoder().decode(Status.self, from: Data(text.utf8)).nodes
    }

    /// Kills a node's process as `kill -9` does.
    func kill(node: Int) async throws {
        guard let pid = try await nodes().first(where: { $0.node == node })?.pid else {
            throw LoadError("Node \(node) of broker '\(name)' isn't running.")
        }
        Foundation.kill(pid, SIGKILL)
        try await waitUntil("node \(node) of broker '\(name)' is gone", within: .seconds(10)) {
            Foundation.kill(pid, 0) != 0
        }
    }

    fileprivate func runScript(_ command: String, _ arguments: String...) async throws -> String {
        try await runScript(command, arguments)
    }

    fileprivate func runScript(
        _ command: String,
        _ arguments: [String],
        isAnswerWithAnyCode: Bool = false
    ) async throws -> String {
        let result = try await Subprocess.run(
            .path(FilePath(script)),
            arguments: Arguments([command, "--name", name] + arguments),
            output: .string(limit: 1 << 20),
            error: .string(limit: 1 << 20)
        )
        guard result.terminationStatus.isSuccess || isAnswerWithAnyCode else {
            throw LoadError("compose/broker \(command) \(arguments.joined(separator: " ")): \(result.standardError)")
        }
        return result.standardOutput
    }

    /// The script in the repository to which this program belongs.
    private static func findScript() throws -> String {
        var folder = try Programs.own.url.deletingLastPathComponent()
        while folder.path != "/" {
            let script = folder.appending(path: "compose/broker").path
            if FileManager.default.isExecutableFile(atPath: script) { return script }
            folder.deleteLastPathComponent()
        }
        throw LoadError(
            "There is no compose/broker above \(try Programs.own.url.path): run it from the repository's build."
        )
    }
}

extension FaultBroker {
    /// Runs rabbitmqctl.
    func ctl(_ arguments: [String]) async throws { _ = try await runScript("ctl", arguments) }

    /// The URL of the first node.
    func url() async throws -> String {
        guard let node = try await nodes().first else { throw LoadError("Broker '\(name)' has no nodes.") }
        return node.url
    }

    /// The port of the first node.
    func port() async throws -> UInt16 {
        let url = try await url()
        guard let port = URL(string: url)?.port.flatMap({ UInt16(exactly: $0) }) else {
            throw LoadError("The URL '\(url)' of broker '\(name)' has no port.")
        }
        return port
    }

    /// Waits until the first node accepts connections, and returns the time in microseconds since 1970.
    func timeOfReturn() async throws -> Int64 {
        let port = try await port()
        while await !Loopback.isListening(at: port) { try await Task.sleep(for: .milliseconds(10)) }
        return WallClock.now
    }
}

/// The brokers of one run, started on first use.
actor FaultBrokers {
    private let version: String
    private let prefix = "faults-\(ProcessInfo.processInfo.processIdentifier)"
    private var started: [FaultBroker] = []

    init(version: String) { self.version = version }

    /// The broker that most experiments share, running again whatever the previous one did to it.
    func shared() async throws -> FaultBroker { try await broker("\(prefix)-one", nodes: 1) }

    /// A cluster of three nodes.
    func cluster() async throws -> FaultBroker { try await broker("\(prefix)-three", nodes: 3) }

    private func broker(_ name: String, nodes: Int) async throws -> FaultBroker {
        if let broker = started.first(where: { $0.name == name }) {
            try await broker.start()
            return broker
        }
        Console.showStatus("starting RabbitMQ \(version), nodes: \(nodes)")
        let broker = try FaultBroker(name: name)
        started.append(broker)
        try await broker.create(nodes: nodes, version: version)
        return broker
    }

    /// Stops a broker that no other experiment needs.
    func end(_ broker: FaultBroker) async throws {
        try await broker.wipe()
        started.removeAll { $0.name == broker.name }
    }

    /// Stops all brokers and deletes their data.
    func endAll() async {
        for broker in started {
            do { try await broker.wipe() } catch { Console.warn("\(error)") }
        }
        started = []
    }
}
