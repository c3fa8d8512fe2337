import Foundation
import RabbitMQ
import Subprocess
import TestSupport
import Testing

#if canImport(System)
import System
#else
import SystemPackage
#endif

/// A broker of one test's own, for what would disturb the others: alarms, closed connections, restarts.
struct PrivateBroker {
    let name: String
    let url: String
    let managementURL: String

    /// Runs `body` beside a broker that is started before and stopped after it, also when `body` throws.
    static func run<Value: Sendable>(_ body: (PrivateBroker) async throws -> Value) async throws -> Value {
        let name = TestBroker.uniqueName("broker")
        _ = try await compose("start", "--name", name)
        do {
            let environment = try await compose("env", "--name", name)
            let broker = PrivateBroker(
                name: name,
                url: try value(of: "WARREN_BROKER_URL", in: environment),
                managementURL: try value(of: "WARREN_BROKER_MANAGEMENT_URL", in: environment)
            )
            let value = try await body(broker)
            try await stop(name)
            return value
        } catch {
            try? await stop(name)
            throw error
        }
    }

    /// The value of a variable in the lines that `compose/broker env` prints.
    private static func value(of variable: String, in environment: String) throws -> String {
        let line = try #require(environment.split(separator: "\n").first { $0.contains(" \(variable)=") })
        return String(try #require(line.split(separator: "'").dropFirst().first))
    }

    /// Runs rabbitmqctl against the broker.
    func ctl(_ arguments: String...) async throws {
        _ = try await Self.compose(["ctl", "--name", name] + arguments)
    }

    /// Stops the broker in order, and keeps its data.
    func stop() async throws { _ = try await Self.compose("stop", "--name", name) }

    /// Starts the broker again, at the same port.
    func start() async throws { _ = try await Self.compose("start", "--name", name) }

    private static func stop(_ name: String) async throws {
        _ = try await compose("stop", "--name", name)
        try? FileManager.default.removeItem(at: TestBroker.root.appending(path: ".broker/\(name)"))
    }

    private static func compose(_ arguments: String...) async throws -> String { try await compose(arguments) }

    private static func compose(_ arguments: [String]) async throws -> String {
        let script = TestBroker.root.appending(path: "compose/broker").path
        let result = try await Subprocess.run(
            .path(FilePath(script)),
            arguments: Arguments(arguments),
            output: .string(limit: 1 << 20),
            error: .string(limit: 1 << 20)
        )
        try #require(
            result.terminationStatus.isSuccess,
            "compose/broker \(arguments.joined(separator: " ")) failed: \(result.standardError)"
        )
        return result.standardOutput
    }
}
