import Foundation
import Subprocess

#if canImport(System)
import System
#else
import SystemPackage
#endif

/// A broker of one test's own, for what would disturb the others: alarms, closed connections, restarts.
package struct PrivateBroker: Sendable {
    package let name: String
    package let url: String
    package let managementURL: String

    /// A command failed, or said something else than expected.
    struct Failure: Error {
        var what: String
    }

    /// Runs `body` beside a broker that is started before and stopped after it, also when `body` throws.
    package static func run<Value: Sendable>(_ body: (PrivateBroker) async throws -> Value) async throws -> Value {
        let broker = try await start()
        do {
            let value = try await body(broker)
            try await broker.remove()
            return value
        } catch {
            // A shield: a test past its time limit is cancelled, which would end the program that stops the broker.
            await Task { try? await broker.remove() }.value
            throw error
        }
    }

    /// Starts a broker; whoever asked for it removes it.
    ///
    /// - Parameter version: Such as `4.3`; `nil` for the system's.
    package static func start(version: String? = nil) async throws -> PrivateBroker {
        let name = TestBroker.uniqueName("broker")
        do {
            _ = try await compose(["start", "--name", name] + (version.map { ["--version", $0] } ?? []))
            let environment = try await compose("env", "--name", name)
            return PrivateBroker(
                name: name,
                url: try value(of: "WARREN_BROKER_URL", in: environment),
                managementURL: try value(of: "WARREN_BROKER_MANAGEMENT_URL", in: environment)
            )
        } catch {
            try? await remove(name)
            throw error
        }
    }

    /// Stops the broker and deletes its data.
    package func remove() async throws { try await Self.remove(name) }

    /// The value of a variable in the lines that `compose/broker env` prints.
    private static func value(of variable: String, in environment: String) throws -> String {
        let line = environment.split(separator: "\n").first { $0.contains(" \(variable)=") }
        guard let value = line?.split(separator: "'").dropFirst().first else {
            throw Failure(what: "compose/broker env says no \(variable)")
        }
        return String(value)
    }

    /// Runs rabbitmqctl against the broker, and returns what it says.
    @discardableResult
    package func ctl(_ arguments: String...) async throws -> String {
        try await Self.compose(["ctl", "--name", name] + arguments)
    }

    /// Stops the broker cleanly, and keeps its data.
    package func stop() async throws { _ = try await Self.compose("stop", "--name", name) }

    /// Starts the broker again, at the same port.
    package func start() async throws { _ = try await Self.compose("start", "--name", name) }

    private static func remove(_ name: String) async throws {
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
        guard result.terminationStatus.isSuccess else {
            throw Failure(
                what: "compose/broker \(arguments.joined(separator: " ")) failed: \(result.standardError)"
            )
        }
        return result.standardOutput
    }
}
