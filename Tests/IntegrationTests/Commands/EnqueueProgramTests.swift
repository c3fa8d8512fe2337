import AMQP
import Foundation
import Subprocess
import TestSupport
import Testing

@testable import Warren

@Suite(.needsBroker, .timeLimit(.minutes(1))) struct EnqueueProgramTests {
    private struct Line: Decodable {
        var id: String
        var dueAt: Date?
    }

    private func run(_ arguments: [String], _ application: TestApplication) async throws -> WarrenProgram {
        let place = ["--broker", try #require(TestBroker.url), "--application", application.topology.application]
        return try await WarrenProgram.run(arguments + place)
    }

    @Test func `A job gets its headers and time limits from the command line, and a time in the past means at once`()
        async throws
    {
        try await TestApplication.with { application in
            let arguments = [
                "enqueue", "tests.mail", "--json", #"{"to": "ada"}"#, "--queue", application.queue.rawValue,
                "--at", "2024-01-01T00:00:00Z", "--header", "tenant=acme", "--header", "trace=a=b",
                "--time-limit", "90s", "--soft-time-limit", "1m", "--id", "the-id",
            ]
            let sent = try await run(arguments, application)
            #expect(sent.exitCode == 0, "\(sent.error)")
            let delivery = try #require(try await application.client.get(queue: application.queue.rawValue))
            let envelope = try Envelope(decoding: delivery.message)
            #expect(envelope.id == "the-id")
            #expect(envelope.timeLimits == TimeLimits(soft: .seconds(60), hard: .seconds(90)))
            #expect(envelope.headers["tenant"] == "acme")
            #expect(envelope.headers["trace"] == "a=b")
            #expect(envelope.headers["kwargsrepr"] == "{…}")
            delivery.ack()
        }
    }

    @Test func `A job that is due at a time waits for it`() async throws {
        try await TestApplication.with { application in
            let time = "2030-01-02T03:04:05+01:00"
            let arguments = ["enqueue", "tests.mail", "--queue", application.queue.rawValue, "--at", time]
            let sent = try await run(arguments, application)
            #expect(sent.exitCode == 0, "\(sent.error)")
            let decoder = JSONDecoder()
            decoder.dateDecodingStrategy = .iso8601
            let line = try decoder.decode(Line.self, from: Data(sent.output.utf8))
            #expect(line.dueAt == Date(timeIntervalSince1970: 1_893_549_845))
            #expect(try await application.ready(application.queue.rawValue) == 0)
        }
    }

    @Test func `The program says its version`() async throws {
        let run = try await WarrenProgram.run(["--version"])
        #expect(run.exitCode == 0)
        #expect(run.output == PackageVersion.current + "\n")
    }

    @Test func `Without queues, status finds those that are bound to the application's exchange`() async throws {
        let management = try #require(TestBroker.variable("WARREN_BROKER_MANAGEMENT_URL"))
        try await TestApplication.with(lanes: [.normal, .low]) { application in
            let blind = try await run(["status"], application)
            #expect(blind.exitCode == 64)
            #expect(blind.error.contains("--management"))
            let found = try await run(["status", "--json", "--management", management], application)
            #expect(found.exitCode == 0, "\(found.error)")
            for name in [application.queue.rawValue, Lane.low.queue(of: application.queue), application.queue.dead] {
                #expect(found.output.contains(#""name":"\#(name)""#), "\(found.output)")
            }
            let unknown = try await WarrenProgram.run([
                "status", "--management", management, "--application", TestBroker.uniqueName("nobody"), "--broker",
                try #require(TestBroker.url),
            ])
            #expect(unknown.exitCode == 64)
            #expect(unknown.error.contains("No queue is bound to the exchange 'test-nobody-"), "\(unknown.error)")
        }
    }

    @Test func `A worker logs JSON if asked to`() async throws {
        try await TestApplication.with { application in
            let ending = try await ProbeProcess.run(application, ["--log-format", "json"]) { process in
                try await application.untilConsumers(1)
                process.signal(.terminate)
            }
            #expect(ending.exitCode == 0, "\(ending.log)")
            let lines = ending.log.split(separator: "\n")
            #expect(!lines.isEmpty)
            for line in lines {
                let object = try JSONSerialization.jsonObject(with: Data(line.utf8)) as? [String: Any]
                #expect(object?["message"] is String, "\(line)")
            }
        }
    }
}
