import Foundation
import Testing

@testable import Digest

struct VerdictTests {
    private static let digest = String(repeating: "a", count: 64)

    private static func entry(_ job: String, planted: Bool = false) -> LedgerEntry {
        LedgerEntry(job: job, path: FilePath("/\(job)"), isPlanted: planted, at: 100)
    }

    private static func result(
        _ job: String,
        digest: String? = digest,
        path: String? = nil,
        attempt: Int = 1,
        redelivered: Bool = false
    ) -> DigestResult {
        DigestResult(
            path: FilePath(path ?? "/\(job)"),
            digest: digest,
            job: job,
            worker: "w",
            attempt: attempt,
            redelivered: redelivered,
            at: 102
        )
    }

    private static func verdict(
        ledger: [LedgerEntry] = [entry("a"), entry("b"), entry("p", planted: true)],
        results: [DigestResult] = [result("a"), result("b")],
        dead: [DeadJob] = [DeadJob(job: "p", failures: 1, at: 103.5)],
        sums files: [String] = ["/a", "/b"]
    ) throws -> Verdict {
        let sums = try Sums(reading: Data(files.map { "\(digest)  \($0)\n" }.joined().utf8))
        return Verdict(ledger: ledger, results: results, dead: dead, sums: sums)
    }

    @Test func `A run in which all is as it should be is good, and its line says so`() throws {
        let verdict = try Self.verdict()
        #expect(verdict.isGood)
        #expect(
            verdict.line
                == #"{"enqueued":3,"succeeded":2,"retried":0,"dead":1,"redelivered":0,"lost":0,"wrong":0,"seconds":3.5}"#
        )
    }

    @Test func `A job without a result and without a dead letter is lost`() throws {
        let verdict = try Self.verdict(results: [Self.result("a")])
        #expect(verdict.lost.count == 1)
        #expect(verdict.succeeded == 1)
        #expect(!verdict.isGood)
    }

    @Test func `A job of which only failed attempts are written down is lost`() throws {
        #expect(try Self.verdict(results: [Self.result("a"), Self.result("b", digest: nil)]).lost.count == 1)
    }

    @Test func `A file for which there was no job is lost`() throws {
        #expect(try Self.verdict(sums: ["/a", "/b", "/c"]).lost == ["file /c, for which there is no job"])
    }

    @Test func `A digest that sha256sum doesn't confirm is wrong`() throws {
        let verdict = try Self.verdict(results: [Self.result("a"), Self.result("b", digest: "b")])
        #expect(verdict.wrong.count == 1)
        #expect(verdict.succeeded == 1)
    }

    @Test func `One wrong result among right ones of the same job is wrong`() throws {
        let verdict = try Self.verdict(results: [Self.result("a"), Self.result("b"), Self.result("b", digest: "b")])
        #expect(verdict.wrong.count == 1)
        #expect(verdict.succeeded == 1)
    }

    @Test(arguments: [
        result("stranger"), result("a", path: "/b"), result("p"),
    ]
    )
    func `A result of a job that nobody enqueued, of another path, or of a planted job is wrong`(
        result: DigestResult
    ) throws {
        #expect(try Self.verdict(results: [Self.result("a"), Self.result("b"), result]).wrong.count == 1)
    }

    @Test func `Doing a job twice is allowed, and counted`() throws {
        let verdict = try Self.verdict(results: [
            Self.result("a"), Self.result("b"), Self.result("b", redelivered: true),
        ])
        #expect(verdict.isGood)
        #expect(verdict.repeated == 1)
        #expect(verdict.redelivered == 1)
        #expect(verdict.succeeded == 2)
    }

    @Test func `A job counts as retried once, however often it was`() throws {
        let verdict = try Self.verdict(
            results: [
                Self.result("a"), Self.result("b", digest: nil), Self.result("b", digest: nil, attempt: 2),
                Self.result("b", attempt: 3),
            ],
            dead: [DeadJob(job: "p", failures: 4, at: nil)]
        )
        #expect(verdict.retried == 2)
        #expect(verdict.isGood)
    }

    @Test func `A dead letter that was not planted is not good`() throws {
        let verdict = try Self.verdict(
            results: [Self.result("a")],
            dead: [DeadJob(job: "p", failures: 1, at: nil), DeadJob(job: "b", failures: 1, at: nil)]
        )
        #expect(verdict.deadWrongly.count == 1)
        #expect(verdict.lost.isEmpty)
        #expect(!verdict.isGood)
    }

    @Test func `A planted job that did not die is not good`() throws {
        let verdict = try Self.verdict(dead: [])
        #expect(verdict.deadWrongly.count == 1)
        #expect(!verdict.isGood)
    }
}
