import AMQP
import Foundation
import Subprocess
import TestSupport
import Testing
import Warren

#if canImport(System)
import System
#else
import SystemPackage
#endif

@Suite(.needsBroker, .timeLimit(.minutes(2))) struct TrappingJobTests {
    private static let fatal = 7

    @Test func `A job that crashes its process goes to another worker, marked as redelivered`() async throws {
        try await TestApplication.with { application in
            _ = try await application.jobs.enqueue(Probe(number: Self.fatal), queue: application.queue)
            _ = try await Self.crash(application, .quorum, as: "first")

            let recorder = Recorder<Bool>()
            let worker = application.worker {
                Handler(Probe.self) { job, context in recorder.record(job.number == 7 && context.isRedelivered) }
            }
            try await application.run(worker) {
                #expect(await recorder.next(1) == [true])
            }
            #expect(try await application.ready(application.queue.rawValue) == 0)
        }
    }

    @Test(arguments: [(QueueKind.quorum, ["a", "b", "c"]), (.classic, ["a", "b"])])
    func `A job that takes down all its workers is quarantined, then dead with their names, and takes no other along`(
        kind: QueueKind,
        workersBeforeQuarantine: [String]
    ) async throws {
        try await TestApplication.with(kind: kind) { application in
            for number in 0...50 {
                _ = try await application.jobs.enqueue(Probe(number: number), queue: application.queue)
            }
            var done: Set<Int> = []
            for name in workersBeforeQuarantine + ["x", "y", "z"] {
                done.formUnion(try await Self.crash(application, kind, as: name))
            }
            let recorder = Recorder<Int>()
            let worker = application.worker { Handler(Probe.self) { job, _ in recorder.record(job.number) } }
            let innocent = Set(0...50).subtracting([Self.fatal])
            try await application.run(worker) {
                try await application.until(application.queue.dead, holds: 1)
                // Also some that were done before, and whose acknowledgements the crashes took with them.
                while !innocent.isSubset(of: done) { done.formUnion(await recorder.next(1)) }
            }
            #expect(!done.contains(Self.fatal))

            let letters = try await DeadLetters(application.client, topology: application.topology)
                .list(in: application.queue)
            #expect(letters.map(\.record.reason) == [.crashed])
            let record = try #require(letters.first?.record)
            #expect(record.history.map(\.worker) == ["x", "y", "z"])
            #expect(record.history.allSatisfy { $0.errorType == CrashHistory.errorType && $0.time != nil })
        }
    }

    /// Runs the fixture's `trapping-worker` until it traps.
    ///
    /// - Returns: The numbers of the jobs that it ran before.
    private static func crash(
        _ application: TestApplication,
        _ kind: QueueKind,
        as name: String
    ) async throws -> [Int] {
        let crash = try await Subprocess.run(
            .path(FilePath(try BuiltProgram.processFixture)),
            arguments: [
                "trapping-worker", "--broker", try #require(TestBroker.url), "--application",
                application.topology.application, "--queue", application.queue.rawValue, "--queue-type", kind.rawValue,
                "--name", name, "--fatal", "\(fatal)",
            ],
            output: .string(limit: 1 << 20),
            error: .string(limit: 1 << 20)
        )
        #expect(!crash.terminationStatus.isSuccess)
        #expect(crash.standardError.contains("Job \(fatal) traps, as the test wants."))
        return crash.standardOutput.split(separator: "\n").compactMap { Int($0) }
    }
}
