import AMQP
import RabbitMQ
import TestSupport
import Testing
import Warren

/// Runs on private brokers, because the delay ladder belongs to the virtual host, and alarms affect all clients.
@Suite(.needsBroker, .privateBrokers, .serialized, .timeLimit(.minutes(15))) struct DoctorTests {
    @Test func `Provoked problems are found, and the worst one decides the exit code`() async throws {
        try await PrivateBroker.run { broker in
            try await new(broker)
            try await declared(broker)
            try await foreignQueue(broker)
            try await missingParts(broker)
            try await policies(broker)
            try await alarm(broker)
        }
    }

    @Test func `An unreachable broker gives exit code 3, and an invalid command line 64`() async throws {
        let absent = try await DoctorProgram.run(broker: "amqp://127.0.0.1:1", "--queues", "emails")
        #expect(absent.exitCode == 3 && absent.findings == [] && absent.error.hasPrefix("Error: "))
        let wrong = try await DoctorProgram.run(
            broker: "amqp://127.0.0.1:1",
            management: "nonsense",
            "--queues",
            "emails"
        )
        #expect(wrong.exitCode == 64)
    }

    private func doctor(_ broker: PrivateBroker, asksManagement: Bool = true) async throws -> DoctorProgram {
        try await .run(
            broker: broker.url,
            management: asksManagement ? broker.managementURL : nil,
            "--queues",
            "emails"
        )
    }

    private let topology = Topology(queues: [QueueConfiguration("emails")])

    /// Nothing was ever declared: warnings, and looking has declared nothing.
    private func new(_ broker: PrivateBroker) async throws {
        for _ in 0..<2 {
            let run = try await doctor(broker)
            #expect(run.exitCode == 1, "\(run.findings)")
            #expect(run.findings("topology").map(\.subject) == ["warren", "warren.dead", "emails"])
            #expect(run.findings("ladder").map(\.severity) == ["warning"])
        }
        let blind = try await doctor(broker, asksManagement: false)
        #expect(blind.findings("access").map(\.severity) == ["note"])
    }

    /// All is as planned: one note, that nobody works.
    private func declared(_ broker: PrivateBroker) async throws {
        try await withClient(url: broker.url) { client in
            _ = try await topology.plan(broker: client.broker().version).apply(to: client)
        }
        let run = try await doctor(broker)
        #expect(run.exitCode == 0, "\(run.findings)")
        #expect(run.findings.map(\.check) == ["queues"])
    }

    /// A queue that something else declared first.
    private func foreignQueue(_ broker: PrivateBroker) async throws {
        try await withClient(url: broker.url) { client in
            try await client.deleteQueue("emails")
            try await client.declare(
                QueueDeclaration("emails", arguments: QueueArguments(.quorum) { $0.messageTTL = .seconds(60) })
            )
        }
        let run = try await doctor(broker)
        #expect(run.exitCode == 2)
        let problems = run.findings("topology").filter { $0.subject == "emails" }.map(\.problem)
        for argument in ["x-message-ttl", "x-dead-letter-exchange", "x-dead-letter-routing-key", "x-overflow"] {
            #expect(problems.contains { $0.contains(argument) })
        }
        #expect(run.findings("delivery-limit").map(\.severity) == ["warning"])
        #expect(run.findings("bindings").count == 2)
    }

    /// The dead queue and a level of the ladder were deleted, and a binding was removed.
    private func missingParts(_ broker: PrivateBroker) async throws {
        try await withClient(url: broker.url) { client in
            try await client.deleteQueue("emails")
            _ = try await topology.plan(broker: client.broker().version).apply(to: client)
            try await client.deleteQueue("emails.dead")
            try await client.deleteQueue(DelayLadder.name(ofLevel: 5))
            try await client.unbind(DelayLadder.binding(for: "emails"))
        }
        let run = try await doctor(broker)
        #expect(run.exitCode == 2)
        #expect(run.findings("topology").map(\.subject) == ["emails.dead"])
        #expect(run.findings("ladder").first?.problem.contains("level-05") == true)
        #expect(run.findings("bindings").map(\.subject) == ["emails"])
        try await withClient(url: broker.url) { client in
            #expect(try await client.exchangeExists(DelayLadder.name(ofLevel: 5)))
            await #expect(throws: AMQPError.self) { try await client.status(ofQueue: "emails.dead") }
            _ = try await topology.plan(broker: client.broker().version).apply(to: client)
        }
        #expect(try await doctor(broker).exitCode == 0)
    }

    /// A policy for every queue.
    private func policies(_ broker: PrivateBroker) async throws {
        try await broker.ctl(
            "set_policy",
            "everything",
            ".*",
            #"{"message-ttl":60000,"delivery-limit":3}"#,
            "--apply-to",
            "queues"
        )
        let run = try await doctor(broker)
        #expect(run.exitCode == 2)
        #expect(
            run.findings("policies").contains { $0.subject == "everything" && $0.problem.contains("message-ttl 60000") }
        )
        #expect(run.findings("delivery-limit").first?.problem.contains("the policy 'everything'") == true)
        try await broker.ctl("clear_policy", "everything")
    }

    /// The broker has stopped publishers.
    private func alarm(_ broker: PrivateBroker) async throws {
        try await broker.ctl("set_vm_memory_high_watermark", "0")
        let blind = try await doctor(broker, asksManagement: false)
        #expect(blind.exitCode == 2)
        #expect(blind.findings("alarms").first?.problem.contains("memory") == true)
        // The management API shows a node's alarm with the node's next statistics, every few seconds; the time limit of
        // the test bounds it.
        try await until { try await doctor(broker).findings("alarms").count >= 2 }
        try await broker.ctl("set_vm_memory_high_watermark", "0.4")
    }
}

/// A run of `warren doctor --json`.
struct DoctorProgram {
    /// A finding, as the program prints it.
    struct Finding: Decodable, Hashable {
        var severity: String
        var check: String
        var subject: String?
        var problem: String
        var consequence: String
        var remedy: String
    }

    let exitCode: Int32
    let findings: [Finding]
    let error: String

    /// The findings of a check.
    func findings(_ check: String) -> [Finding] { findings.filter { $0.check == check } }

    /// Runs the program.
    ///
    /// - Parameter management: The management API; without it, it isn't asked, whatever the environment says.
    static func run(
        broker: String,
        management: String? = nil,
        _ arguments: String...
    ) async throws -> DoctorProgram {
        let run = try await WarrenProgram.run(
            ["doctor", "--json", "--broker", broker] + (management.map { ["--management", $0] } ?? []) + arguments
        )
        return DoctorProgram(exitCode: run.exitCode, findings: try run.decoded(), error: run.error)
    }
}
