import ArgumentParser
import Logging
import Testing
import Warren

@testable import WarrenCommands

struct CommandTreeTests {
    private func names(_ application: any WarrenApplication.Type) -> [String?] {
        application.configuration.subcommands.map { $0.configuration.commandName }
    }

    @Test func `An application without configuration gets all standard commands`() {
        #expect(
            names(PlainApplication.self) == ["worker", "enqueue", "status", "topology", "dead", "doctor", "health"]
        )
    }

    @Test func `An application's command replaces the standard one of its name, and comes first`() {
        #expect(
            names(SampleApplication.self) == ["enqueue", "worker", "status", "topology", "dead", "doctor", "health"]
        )
    }

    @Test(arguments: [
        (["worker", "--queues", "a,b=4", "--concurrency", "8"], "WorkerCommand<PlainApplication>"),
        (["enqueue", "emails.send", "--json", "{}"], "EnqueueCommand<PlainApplication>"),
        (
            ["enqueue", "emails.send", "--at", "2026-11-21T06:30:00Z", "--header", "a=b", "--time-limit", "9s"],
            "EnqueueCommand<PlainApplication>"
        ),
        (["worker", "--log-format", "json"], "WorkerCommand<PlainApplication>"),
        (["status", "--json"], "StatusCommand<PlainApplication>"),
        (["topology", "plan", "--broker-version", "4.3"], "TopologyPlanCommand<PlainApplication>"),
        (["topology", "apply", "--no-delays"], "TopologyApplyCommand<PlainApplication>"),
        (["dead", "list", "--reason", "permanent", "--older-than", "1d"], "DeadListCommand<PlainApplication>"),
        (["dead", "show", "some-id"], "DeadShowCommand<PlainApplication>"),
        (["dead", "replay", "--all", "--rate", "0.5", "--limit", "3"], "DeadReplayCommand<PlainApplication>"),
        (["dead", "discard", "some-id"], "DeadDiscardCommand<PlainApplication>"),
        (["doctor", "--management", "http://h:1", "--consumer-timeout", "1h"], "DoctorCommand<PlainApplication>"),
    ]
    )
    func `A command line is parsed as its command`(arguments: [String], type: String) throws {
        #expect(String(describing: Swift.type(of: try PlainApplication.parseAsRoot(arguments))) == type)
    }

    @Test(arguments: [
        ["worker", "--lanes", "sometimes"], ["worker", "--queues", "a..b"], ["worker", "--queues", "a=0"],
        ["worker", "--shutdown-timeout", "soon"], ["worker", "--log-level", "loud"],
        ["enqueue"], ["enqueue", "x", "--lane", "fast"], ["enqueue", "x", "--delay", "-1s"],
        ["enqueue", "x", "--at", "tomorrow"], ["enqueue", "x", "--at", "2026-11-21T06:30:00Z", "--delay", "5s"],
        ["enqueue", "x", "--header", "tenant"], ["enqueue", "x", "--header", "a=1", "--header", "a=2"],
        ["enqueue", "x", "--time-limit", "0"], ["enqueue", "x", "--time-limit", "5s", "--soft-time-limit", "5s"],
        ["worker", "--log-format", "yaml"],
        ["topology", "plan", "--broker-version", "new"],
        ["dead", "replay"], ["dead", "discard"], ["dead", "replay", "--all", "--rate", "0"],
        ["dead", "discard", "--all", "--limit", "0"], ["nonsense"],
    ]
    )
    func `An invalid command line is refused with exit code 64`(arguments: [String]) {
        let error = #expect(throws: (any Error).self) { try PlainApplication.parseAsRoot(arguments) }
        #expect(error.map { PlainApplication.exitCode(for: $0) } == .validationFailure)
    }

    @Test func `A worker has its application's options beside its own`() throws {
        let command = try SampleApplication.parseAsRoot([
            "worker", "--smtp", "mail.example.com", "--queues", "emails=2,reports", "--lanes", "weighted:high=6,low=1",
            "--prefetch", "9", "--shutdown-timeout", "1m", "--no-declare-topology", "--log-level", "debug",
        ])
        let worker = try #require(command as? WorkerCommand<SampleApplication>)
        #expect(worker.appOptions.smtp == "mail.example.com")
        #expect(worker.target.namedQueues == [.init(name: "emails", concurrency: 2), .init(name: "reports")])
        #expect(worker.lanePolicy == .weighted([.high: 6, .low: 1]))
        #expect(worker.prefetch == 9)
        #expect(worker.shutdownTimeout.duration == .seconds(60))
        #expect(!worker.declaresTopology)
        #expect(worker.logLevel == .debug)
    }

    @Test func `Without --queues, a command works on the queues of all jobs and of the topology`() throws {
        let command = try SampleApplication.parseAsRoot(["worker"])
        let worker = try #require(command as? WorkerCommand<SampleApplication>)
        #expect(try worker.target.queues(try worker.target.topology()).map(\.name) == ["emails", "reports"])
    }

    @Test func `A queue that is named twice counts once`() throws {
        let command = try PlainApplication.parseAsRoot(["worker", "--queues", "b,a", "--queues", "b"])
        let worker = try #require(command as? WorkerCommand<PlainApplication>)
        #expect(worker.target.namedQueues.map(\.name) == ["b", "a"])
    }

    @Test func `A worker logs from level info, other commands from warning`() throws {
        let worker = try PlainApplication.parseAsRoot(["worker"]) as? any BrokerCommand
        let status = try PlainApplication.parseAsRoot(["status"]) as? any BrokerCommand
        #expect(worker?.logLevel == .info)
        #expect(status?.logLevel == .warning)
    }
}
