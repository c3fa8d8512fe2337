import AMQP
import EmbeddedBroker
import Foundation
import Logging
import RabbitMQ
import Subprocess
import TestSupport
import Testing
import Warren

#if canImport(System)
import System
#else
import SystemPackage
#endif

@Suite(.needsBroker, .privateBrokers, .timeLimit(.minutes(15)), .serialized) struct SpoolOnBrokerTests {

    @Test func `While the broker is stopped every job is spooled, and arrives once it is running again`() async throws {
        try await PrivateBroker.run { broker in
            try await within { path in
                try await withClient(url: broker.url) { client in
                    let queue: QueueName = "spooled"
                    let topology = Topology(application: "spooling", queues: [QueueConfiguration(queue)])
                    let spool = try Spool(at: path, limit: 1 << 20, logger: .quiet)
                    // The broker's part of a deadline is the machine's time; the disk's must not pass on a busy one.
                    let jobs = JobClient(
                        client,
                        topology: topology,
                        spool: spool,
                        logger: .quiet,
                        clock: VirtualClock()
                    )
                    let first = try await jobs.enqueue(Probe(number: 0), queue: queue)
                    #expect(!first.isSpooled)

                    try await broker.stop()
                    let together = try await withThrowingTaskGroup(of: EnqueuedJob.self) { group in
                        for number in 1...100 { group.addTask { try await enqueueSpooled(number, queue, jobs) } }
                        return try await group.reduce(into: []) { $0.append($1) }
                    }
                    var inOrder: [EnqueuedJob] = []
                    for number in 101...120 { inOrder.append(try await enqueueSpooled(number, queue, jobs)) }
                    #expect(spool.status.waiting == 120)

                    try await broker.start()
                    let flusher = JobClient(client, topology: topology, spool: spool, logger: .quiet)
                    try await flusher.flushSpool(timeout: .seconds(60))
                    let arrived = try await ids(in: queue, client)
                    #expect(arrived.first == first.id)
                    #expect(Set(arrived.dropFirst().prefix(100)) == Set(together.map(\.id)))
                    #expect(Array(arrived.dropFirst(101)) == inOrder.map(\.id))
                    #expect(spool.status.replayed == 120)
                }
            }
        }
    }

    /// Enqueues a job while the broker is stopped: it ends, and that before the broker is back.
    private func enqueueSpooled(_ number: Int, _ queue: QueueName, _ jobs: JobClient) async throws -> EnqueuedJob {
        let handle = try await jobs.enqueue(Probe(number: number), queue: queue, timeout: .seconds(1))
        #expect(handle.isSpooled)
        return handle
    }

    @Test func `A process killed during a replay loses no job, and repeats at most one window of jobs`()
        async throws
    {
        try await TestApplication.with { application in
            try await within { path in
                let count = 4_000
                let spool = try Spool(at: path, limit: 64 << 20, logger: .quiet)
                let nowhere = try RabbitMQClient(url: "amqp://127.0.0.1:1")
                let jobs = JobClient(nowhere, topology: application.topology, spool: spool, logger: .quiet)
                let spooled = try await withThrowingTaskGroup(of: String.self) { group in
                    for number in 0..<count {
                        group.addTask { try await jobs.enqueue(Probe(number: number), queue: application.queue).id }
                    }
                    return try await group.reduce(into: Set()) { $0.insert($1) }
                }
                await nowhere.close()
                #expect(spool.status.waiting == count)
                spool.close()

                for kill in 1...2 {
                    let run = try await Subprocess.run(
                        .path(FilePath(try BuiltProgram.processFixture)),
                        arguments: Arguments(Self.arguments("replay-spool", application, path)),
                        input: .none,
                        output: .discarded,
                        error: .discarded
                    ) { execution in
                        try await until { try await application.ready(application.queue.rawValue) >= kill * 500 }
                        try execution.send(signal: .kill)
                    }
                    #expect(!run.terminationStatus.isSuccess)
                }
                let left = try Spool(at: path, limit: 64 << 20, logger: .quiet)
                #expect(left.status.waiting > 0)
                left.close()
                try await replay(application, path)

                let arrived = try await ids(in: application.queue, application.client)
                #expect(Set(arrived) == spooled)
                #expect(arrived.count - count <= 2 * 64)
            }
        }
    }

    @Test func `A full disk is reported, and the jobs spooled before arrive`() async throws {
        try await TestApplication.with { application in
            try await within { path in
                let fill = Self.arguments("fill-spool", url: "amqp://127.0.0.1:1", application, path)
                // A limit on files, not a small disk: that would need root.
                let run = try await Subprocess.run(
                    .path("/bin/sh"),
                    arguments: Arguments(
                        ["-c", #"trap "" XFSZ; ulimit -f 128; exec "$0" "$@""#, try BuiltProgram.processFixture] + fill
                    ),
                    output: .string(limit: 1 << 20),
                    error: .discarded
                )
                let lines = run.standardOutput.split(separator: "\n")
                let error = try #require(lines.last)
                #expect(error.hasPrefix("failed: spoolFailed"))
                #expect(error.contains(path))
                #expect(error.contains("connectionFailed"))
                try await replay(application, path)
                #expect(try await ids(in: application.queue, application.client) == lines.dropLast().map(String.init))
            }
        }
    }

    private func replay(_ application: TestApplication, _ path: String) async throws {
        let run = try await Subprocess.run(
            .path(FilePath(try BuiltProgram.processFixture)),
            arguments: Arguments(Self.arguments("replay-spool", application, path)),
            output: .discarded,
            error: .string(limit: 1 << 20)
        )
        try #require(run.terminationStatus.isSuccess, "\(run.standardError)")
    }

    /// The ids of all jobs in a queue, in order; the queue is empty then.
    private func ids(in queue: QueueName, _ client: any Transport) async throws -> [String] {
        var ids: [String] = []
        while let delivery = try await client.get(queue: queue.rawValue) {
            ids.append(try #require(delivery.message.properties.messageID))
            delivery.ack()
        }
        return ids
    }

    private func within(_ body: (String) async throws -> Void) async throws {
        let folder = FileManager.default.temporaryDirectory.appending(path: TestBroker.uniqueName("spool"))
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(at: folder) }
        try await body(folder.appending(path: "jobs.spool").path)
    }

    private static func arguments(
        _ command: String,
        url: String? = TestBroker.url,
        _ application: TestApplication,
        _ path: String
    ) -> [String] {
        [
            command, "--broker", url ?? "", "--application", application.topology.application,
            "--queue", application.queue.rawValue, "--spool", path,
        ]
    }
}
