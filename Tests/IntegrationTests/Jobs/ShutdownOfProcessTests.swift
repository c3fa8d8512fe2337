import AMQP
import Foundation
import Subprocess
import TestSupport
import Testing
import Warren

@Suite(.needsBroker, .timeLimit(.minutes(1))) struct ShutdownOfProcessTests {
    @Test func `After SIGTERM a process lets its running job finish and exits cleanly`() async throws {
        try await TestApplication.with { application in
            try await ProbeJobs.wait(1, isGated: true, on: application)
            let health = ProbeHealth()
            let ending = try await ProbeProcess.run(application, health.options) { process in
                #expect(await process.lines.next(1).first?.what == "begin")
                process.signal(.terminate)
                _ = try await health.until { $0.phase == .stopping }
                try await ProbeJobs.openGate(on: application)
                #expect(await process.lines.next(1).first?.what == "done")
            }
            #expect(ending.exitCode == 0, "\(ending.log)")
            #expect(try await application.ready(application.queue.rawValue) == 0)
        }
    }

    @Test(arguments: [Signal.terminate, .interrupt])
    func `At a second signal a process exits at once, and its jobs go to the next worker`(signal: Signal) async throws {
        try await TestApplication.with { application in
            try await ProbeJobs.wait(1, isGated: true, on: application)
            let health = ProbeHealth()
            try await ProbeJobs.hang(2, on: application)
            // Only the second signal can end it before the test's time limit.
            let options = health.options + ["--shutdown-timeout", "1h"]
            let ending = try await ProbeProcess.run(application, options) { process in
                #expect(Set(await process.lines.next(2).map(\.number)) == [1, 2])
                process.signal(signal)
                _ = try await health.until { $0.phase == .stopping }
                process.signal(signal)
            }
            #expect(ending.exitCode == 0, "\(ending.log)")
            try await application.until(application.queue.rawValue, holds: 2)
            // Nothing was counted as a failure, and nothing is lost.
            #expect(try await application.ready(application.queue.dead) == 0)
            _ = try await application.client.purgeQueue(application.queue.rawValue)
        }
    }

    @Test func `At its hard limit a job is dead-lettered, the others are requeued, and the process exits with 75`()
        async throws
    {
        try await TestApplication.with { application in
            try await ProbeJobs.hang(1, limit: .milliseconds(500), on: application)
            let ending = try await ProbeProcess.run(application, ["--shutdown-timeout", "20s"]) { process in
                #expect(await process.lines.next(1).first?.what == "begin")
            }
            #expect(ending.exitCode == 75, "\(ending.log)")
            #expect(ending.log.contains("hard time limit"))
            #expect(try await application.ready(application.queue.rawValue) == 0)
            try await application.until(application.queue.dead, holds: 1)
        }
    }

    @Test func `The health file reports the worker's health, and is removed at the end`() async throws {
        let probe = ProbeHealth()
        try await TestApplication.with { application in
            try await ProbeJobs.wait(1, on: application)
            let ending = try await ProbeProcess.run(application, probe.options) { process in
                #expect(await process.lines.next(2).last?.what == "done")
                let health = try await probe.until(\.isReady)
                #expect(health.isLive)
                #expect(health.consumers.map(\.queue) == [application.queue])
                process.signal(.terminate)
            }
            #expect(ending.exitCode == 0, "\(ending.log)")
            #expect(!FileManager.default.fileExists(atPath: probe.file.path))
        }
    }
}
