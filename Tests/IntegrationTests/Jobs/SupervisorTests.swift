import AMQP
import Foundation
import Subprocess
import TestSupport
import Testing
import Warren

@Suite(.needsBroker, .timeLimit(.minutes(1))) struct SupervisorTests {
    @Test func `A killed process is replaced, its job runs again, and SIGTERM ends all processes cleanly`() async throws
    {
        try await TestApplication.with { application in
            let ending = try await ProbeProcess.run(application, ["--processes", "2"]) { process in
                try await application.untilConsumers(2)
                try await ProbeJobs.wait(1, isGated: true, on: application)
                let begun = try #require(await process.lines.next(1).first)
                try await kill(begun.process)
                var again = await process.lines.next(1)
                try await ProbeJobs.openGate(on: application)
                again += await process.lines.next(1)
                #expect(again.map(\.what) == ["begin", "done"])
                #expect(again.allSatisfy { $0.number == 1 && $0.process != begun.process })
                try await application.untilConsumers(2)
                process.signal(.terminate)
            }
            #expect(ending.exitCode == 0, "\(ending.log)")
            #expect(ending.log.contains("crashed"))
            #expect(ending.log.contains("signal=9"))
            #expect(try await application.ready(application.queue.rawValue) == 0)
            #expect(try await application.ready(application.queue.dead) == 0)
        }
    }

    @Test func `Processes are replaced after their number of jobs, and no job is lost or run twice`() async throws {
        try await TestApplication.with { application in
            let options = ["--processes", "1", "--recycle-after-jobs", "10", "--prefetch", "2"]
            let ending = try await ProbeProcess.run(application, options) { process in
                var done: [ProbeProcess.Line] = []
                while Set(done.map(\.process)).count < 3 {
                    try await ProbeJobs.wait(done.count + 1, on: application)
                    done += await process.lines.next(2).filter { $0.what == "done" }
                }
                #expect(done.map(\.number) == Array(1...done.count), "\(done.map { "\($0.number) \($0.process)" })")
                // Nine tenths are the least: each process draws its number, so that not all are replaced at once.
                for replaced in Set(done.dropLast().map(\.process)) {
                    #expect(done.count { $0.process == replaced } >= 9)
                }
                process.signal(.terminate)
            }
            #expect(ending.exitCode == 0, "\(ending.log)")
            #expect(try await application.ready(application.queue.rawValue) == 0, "\(ending.log)")
        }
    }

    @Test func `A process that exits because of a hard time limit is replaced, and the other jobs run`() async throws {
        try await TestApplication.with { application in
            try await ProbeJobs.hang(1, limit: .milliseconds(500), on: application)
            let ending = try await ProbeProcess.run(application, ["--processes", "1"]) { process in
                let hung = try #require(await process.lines.next(1).first)
                try await ProbeJobs.wait(2, isGated: true, on: application)
                var lines = await process.lines.next(1)
                try await application.until(application.queue.dead, holds: 1)
                // The process ends when its other job has: only then is there another one.
                try await ProbeJobs.openGate(on: application)
                lines += await process.lines.next(1)
                #expect(lines.map(\.number) == [2, 2])
                #expect(lines.map(\.what) == ["begin", "done"])
                while lines.last?.process == hung.process {
                    try await ProbeJobs.wait(3, on: application)
                    lines += await process.lines.next(2)
                }
                process.signal(.terminate)
            }
            #expect(ending.exitCode == 0, "\(ending.log)")
            #expect(ending.log.contains("exit-code=75"))
        }
    }

    @Test func `Two signals end all processes at once`() async throws {
        try await TestApplication.with { application in
            let health = ProbeHealth()
            for number in 1...4 { try await ProbeJobs.wait(number, isGated: true, on: application) }
            let ending = try await ProbeProcess.run(
                application,
                // Only the second signal can end them before the test's time limit.
                ["--processes", "2", "--prefetch", "2", "--shutdown-timeout", "1h"] + health.options
            ) { process in
                #expect(await process.lines.next(4).allSatisfy { $0.what == "begin" })
                process.signal(.terminate)
                for child in 1...2 { _ = try await health.until(child: child) { $0.phase == .stopping } }
                process.signal(.terminate)
            }
            #expect(ending.exitCode == 0, "\(ending.log)")
            try await application.until(application.queue.rawValue, holds: 4)
            _ = try await application.client.purgeQueue(application.queue.rawValue)
        }
    }

    @Test func `Processes whose supervisor was killed exit cleanly`() async throws {
        try await TestApplication.with { application in
            _ = try await ProbeProcess.run(application, ["--processes", "2"]) { process in
                try await application.untilConsumers(2)
                process.signal(.kill)
            }
            try await application.untilConsumers(0)
        }
    }

    private func kill(_ process: Int32) async throws {
        let result = try await Subprocess.run(.name("kill"), arguments: ["-9", "\(process)"], output: .discarded)
        #expect(result.terminationStatus.isSuccess)
    }
}
