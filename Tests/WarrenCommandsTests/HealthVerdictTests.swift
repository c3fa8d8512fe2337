import Foundation
import Testing

@testable import Warren
@testable import WarrenCommands

@Suite struct HealthVerdictTests {
    private let now = Date(timeIntervalSince1970: 1_795_232_137)

    private func verdict(isLive: Bool, age: TimeInterval, problems: [String] = []) throws -> HealthVerdict {
        let health = WorkerHealth(
            worker: "mailer-1",
            at: now.addingTimeInterval(-age),
            phase: .working,
            isReady: problems.isEmpty,
            isLive: isLive,
            problems: problems,
            publishing: "open",
            consuming: "open",
            secondsSinceLastReceived: 1.5,
            consumers: [ConsumerHealth(queue: "emails", lane: "normal", isRegistered: true, isPaused: false)],
            runningJobs: 2
        )
        let data = Data(try Output.jsonText(health).utf8)
        return HealthVerdict(of: data, at: "h.json", now: now, maximumAge: .seconds(30))
    }

    @Test func `A recent file of a live worker is healthy`() throws {
        let verdict = try verdict(isLive: true, age: 29)
        #expect(verdict.isLive)
        #expect(verdict.line == "h.json: mailer-1 is live. The worker takes jobs.")
    }

    @Test func `A worker that isn't ready may be live, and the line names the problem`() throws {
        let verdict = try verdict(isLive: true, age: 0, problems: ["The connection that consumes is recovering (2)."])
        #expect(verdict.isLive)
        #expect(verdict.line.hasSuffix("is live. The connection that consumes is recovering (2)."))
    }

    @Test func `A worker that isn't live is unhealthy`() throws {
        #expect(try !verdict(isLive: false, age: 0, problems: ["It is stuck."]).isLive)
    }

    @Test func `An old file is unhealthy whatever it contains`() throws {
        let verdict = try verdict(isLive: true, age: 31)
        #expect(!verdict.isLive)
        #expect(verdict.line.contains("31 s old"))
    }

    @Test func `A missing file and one of another kind are unhealthy`() {
        let missing = HealthVerdict(of: nil, at: "h.json", now: now, maximumAge: .seconds(30))
        #expect(!missing.isLive)
        #expect(missing.line.contains("no such file"))
        let other = HealthVerdict(of: Data("{}".utf8), at: "h.json", now: now, maximumAge: .seconds(30))
        #expect(!other.isLive)
        #expect(other.line.contains("not a health file"))
    }
}
