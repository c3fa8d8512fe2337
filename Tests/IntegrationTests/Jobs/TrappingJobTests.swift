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

@Suite(.needsBroker, .timeLimit(.minutes(1))) struct TrappingJobTests {
    @Test func `A job that takes its process down goes to another worker, marked as redelivered`() async throws {
        try await TestApplication.with { application in
            _ = try await application.jobs.enqueue(Probe(number: 7), queue: application.queue)
            let crash = try await Subprocess.run(
                .path(FilePath(try Self.program.path)),
                arguments: [application.topology.application, application.queue.rawValue],
                output: .discarded,
                error: .string(limit: 1 << 20)
            )
            #expect(!crash.terminationStatus.isSuccess)
            #expect(crash.standardError.contains("Job 7 traps, as the test wants."))

            let journal = Journal<Bool>()
            let worker = application.worker {
                Handle(Probe.self) { job, context in journal.write(job.number == 7 && context.isRedelivered) }
            }
            try await application.run(worker) {
                #expect(await journal.next(1) == [true])
            }
            #expect(try await application.ready(application.queue.rawValue) == 0)
        }
    }

    /// The program `trapping-worker`, which the build put beside this test's own.
    private static var program: URL {
        get throws {
            let folders = [
                URL(filePath: CommandLine.arguments[0]).deletingLastPathComponent(),
                TestBroker.root.appending(path: ".build/debug"),
            ]
            return try #require(
                folders.map { $0.appending(path: "TrappingWorker") }
                    .first { FileManager.default.isExecutableFile(atPath: $0.path) },
                "build the tests first: swift build --build-tests"
            )
        }
    }
}
