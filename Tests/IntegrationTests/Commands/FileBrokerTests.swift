import AMQP
import EmbeddedBroker
import EmbeddedStore
import Foundation
import Testing
import Warren

@Suite(.timeLimit(.minutes(1))) struct FileBrokerTests {
    private struct Mail: Job {
        static let name = "tests.mail"
        static let queue: QueueName = "mails"
        var to: String
    }

    private struct Letter: Decodable {
        var id: String
        var reason: String
    }

    @Test func `The program shows and replays dead jobs in a file, once no other program has it open`()
        async throws
    {
        let folder = FileManager.default.temporaryDirectory.appending(path: "warren-\(UUID().uuidString)")
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: false)
        defer { try? FileManager.default.removeItem(at: folder) }
        let url = folder.appending(path: "jobs.db").absoluteString

        let broker = try await EmbeddedBroker.open(url: url)
        let id = try await killJob(on: broker)
        let place = ["--broker", url, "--queues", "mails", "--application", "post"]
        let refused = try await WarrenProgram.run(["dead", "list"] + place)
        await broker.close()
        #expect(refused.exitCode == 1)
        #expect(refused.error.contains("jobs.db"))
        #expect(refused.error.contains("\(ProcessInfo.processInfo.processIdentifier)"))

        let list = try await WarrenProgram.run(["dead", "list", "--json"] + place)
        #expect(list.exitCode == 0, "\(list.error)")
        let letters = try list.decoded(as: Letter.self)
        #expect(letters.map(\.id) == [id])
        #expect(letters.map(\.reason) == ["permanent"])
        let status = try await WarrenProgram.run(["status", "--json", "--broker", url, "--application", "post"])
        #expect(status.exitCode == 0, "\(status.error)")
        #expect(status.output.contains(#""name":"mails.dead","queue":"mails","ready":1"#), "\(status.output)")
        let nobody = try await WarrenProgram.run(["status", "--broker", url, "--application", "nobody"])
        #expect(nobody.exitCode == 64)
        #expect(nobody.error.contains("No queue is bound to the exchange 'nobody'"))
        let replay = try await WarrenProgram.run(["dead", "replay", "--all"] + place)
        #expect(replay.exitCode == 0, "\(replay.error)")

        let again = try await EmbeddedBroker.open(url: url)
        #expect(again.readyMessages(in: "mails.dead").isEmpty)
        let back = again.readyMessages(in: "mails").map { $0.properties.headers?["id"]?.stringValue }
        #expect(back == [id])
        await again.close()
    }

    /// Enqueues a job that fails for good, and says its id.
    private func killJob(on broker: EmbeddedBroker) async throws -> String {
        let topology = Topology(application: "post", queues: [QueueConfiguration(Mail.queue)])
        let application = TestApplication(
            client: broker,
            topology: topology,
            queue: Mail.queue,
            jobs: JobClient(broker, topology: topology)
        )
        let worker = application.worker {
            Handler(Mail.self) { job, _ in throw JobFailure.permanent("Nobody lives at \(job.to).") }
        }
        let handle = try await application.jobs.enqueue(Mail(to: "1 Nowhere Road"))
        try await application.run(worker) { try await application.until(Mail.queue.dead, holds: 1) }
        return handle.id
    }
}
