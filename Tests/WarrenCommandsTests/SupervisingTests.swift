import ArgumentParser
import Foundation
import Testing
import Warren

@testable import WarrenCommands

@Suite struct SupervisingTests {
    @Test func `A child gets the supervisor's command line with a separate name, port and file`() {
        let line = [
            "worker", "--processes", "3", "--queues", "a,b", "--name=mailer", "--health-port", "8000", "--health-file",
            "/run/health.json", "--json",
        ]
        let arguments = ChildArguments(line, name: "mailer", healthPort: 8_000, healthFile: "/run/health.json")
        #expect(
            arguments.child(2) == [
                "worker", "--queues", "a,b", "--json", "--supervised", "--name", "mailer-2", "--health-port", "8002",
                "--health-file", "/run/health-2.json",
            ]
        )
    }

    @Test func `Options are inserted before the end-of-options mark`() {
        let arguments = ChildArguments(
            ["worker", "--processes=2", "--", "--name", "x"],
            name: "n",
            healthPort: nil,
            healthFile: nil
        )
        #expect(arguments.child(1) == ["worker", "--supervised", "--name", "n-1", "--", "--name", "x"])
    }

    @Test func `A file without extension gets its number at the end`() {
        let arguments = ChildArguments([], name: "n", healthPort: nil, healthFile: "/run/v1.2/health")
        #expect(arguments.child(3).last == "/run/v1.2/health-3")
    }

    @Test(arguments: [
        ["worker", "--processes", "0"], ["worker", "--processes", "257"], ["worker", "--health-port", "0"],
        ["worker", "--health-port", "65535", "--processes", "2"], ["worker", "--recycle-after-jobs", "0"],
        ["worker", "--recycle-at-memory", "much"], ["worker", "--health-interval", "0"], ["health"],
    ])
    func `Invalid options are refused`(arguments: [String]) {
        let error = #expect(throws: (any Error).self) { try PlainApplication.parseAsRoot(arguments) }
        #expect(error.map { PlainApplication.exitCode(for: $0) } == .validationFailure)
    }

    @Test func `A process is recycled at its number of jobs or its memory limit`() {
        #expect(RecyclingPolicy().reason(deliveries: .max, memory: .max) == nil)
        #expect(RecyclingPolicy(jobs: 10).reason(deliveries: 9, memory: nil) == nil)
        #expect(RecyclingPolicy(jobs: 10).reason(deliveries: 10, memory: nil) == "10 jobs of 10")
        let policy = RecyclingPolicy(memory: 64 << 20)
        #expect(policy.reason(deliveries: 0, memory: 63 << 20) == nil)
        #expect(policy.reason(deliveries: 0, memory: 65 << 20) == "65 MiB of memory of 64 MiB")
    }

    @Test func `Each process picks limits up to a tenth lower`() throws {
        let command = try PlainApplication.parseAsRoot([
            "worker", "--recycle-after-jobs", "1000", "--recycle-at-memory", "100MiB",
        ])
        let worker = try #require(command as? WorkerCommand<PlainApplication>)
        var generator = SystemRandomNumberGenerator()
        let policies = (0..<50).map { _ in worker.recycling.policy(using: &generator) }
        let jobs = policies.compactMap(\.jobs)
        #expect(jobs.allSatisfy { (900...1_000).contains($0) })
        #expect(Set(jobs).count > 1)
        #expect(policies.compactMap(\.memory).allSatisfy { (90 << 20...100 << 20).contains($0) })
    }

    @Test func `Resident memory is read from proc`() {
        #expect(ResidentMemory.parse("Name:\tx\nVmRSS:\t   2048 kB\nThreads:\t1\n") == 2 << 20)
        #expect(ResidentMemory.parse("Name:\tx\n") == nil)
    }

    @Test(arguments: [("512MiB", 512 << 20), ("2GiB", 2 << 30), ("1KiB", 1_024), ("77", 77)] as [(String, Int?)])
    func `Numbers of bytes are parsed`(text: String, bytes: Int?) {
        #expect(ByteCountArgument(argument: text)?.bytes == bytes)
    }

    @Test(arguments: ["", "0", "-1", "MiB", "1MB", "9223372036854775807GiB"])
    func `An invalid number of bytes is refused`(text: String) {
        #expect(ByteCountArgument(argument: text) == nil)
    }
}
