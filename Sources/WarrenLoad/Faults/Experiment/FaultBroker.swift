import Foundation
import Subprocess

#if canImport(System)
import System
#else
import SystemPackage
#endif

/// A private broker, by `compose/broker`.
struct FaultBroker: Sendable {
    let name: String
    private let script: String

    /// A node as `compose/broker status --json` tells of it.
    struct Node: Decodable, Sendable {
        var node: Int
        var pid: Int32?
        var state: String
        var version: String
        var url: String
    }

    /// A broker of this name; nothing is started.
    init(name: String) throws {
        self.name = name
        script = try Self.findScript()
    }

    /// Starts it for the first time.
    func create(nodes: Int, version: String) async throws {
        _ = try await compose("start", "--nodes", String(nodes), "--version", version)
    }

    /// Starts what is missing of it.
    func start() async throws { _ = try await compose("start") }

    /// Stops it in order.
    func stop() async throws { _ = try await compose("stop") }

    /// Ends it and deletes its data.
    func wipe() async throws { _ = try await compose("stop", "--wipe") }

    /// Runs rabbitmqctl.
    @discardableResult
    func ctl(_ arguments: String...) async throws -> String { try await compose("ctl", arguments) }

    func nodes() async throws -> [Node] {
        struct Status: Decodable { var nodes: [Node] }
        let text = try await compose("status", ["--json"], isAnswerWithAnyCode: true)
        return try JSONDecoder().decode(Status.self, from: Data(text.utf8)).nodes
    }

    /// Kills a node's process as `kill -9` does.
    func kill(node: Int) async throws {
        guard let pid = try await nodes().first(where: { $0.node == node })?.pid else {
            throw LoadError("Node \(node) of broker '\(name)' isn't running.")
        }
        Foundation.kill(pid, SIGKILL)
        try await Patience.wait("node \(node) of broker '\(name)' is gone", within: .seconds(10)) {
            Foundation.kill(pid, 0) != 0
        }
    }

    fileprivate func compose(_ command: String, _ arguments: String...) async throws -> String {
        try await compose(command, arguments)
    }

    fileprivate func compose(
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
    func ctl(_ arguments: [String]) async throws { _ = try await compose("ctl", arguments) }

    /// Where its first node is.
    func url() async throws -> String {
        guard let node = try await nodes().first else { throw LoadError("Broker '\(name)' has no nodes.") }
        return node.url
    }

    /// The port of its first node.
    func port() async throws -> UInt16 {
        let url = try await url()
        guard let port = URL(string: url)?.port.flatMap({ UInt16(exactly: $0) }) else {
            throw LoadError("The URL '\(url)' of broker '\(name)' has no port.")
        }
        return port
    }

    /// Waits until the first node takes connections, and returns when that was, in microseconds since 1970.
    func timeOfReturn() async throws -> Int64 {
        let port = try await port()
        while await !Loopback.isListening(at: port) { try await Task.sleep(for: .milliseconds(10)) }
        return WallClock.now
    }
}

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
