import Foundation
import TestSupport
import Testing

@testable import Warren

@Suite struct OutcomeTests {
    private static let fixed = RetryPolicy.fixed(.seconds(10), attempts: 3)
    private static let undecodable = EnvelopeError(.notJSON, "no")

    struct Row: Sendable, CustomTestStringConvertible {
        var ending: AttemptResult
        var retries = 0
        var expires: Date?
        var policy = OutcomeTests.fixed
        var expiryPolicy = ExpiryPolicy.keep
        var outcome: Outcome

        var testDescription: String { "\(ending), \(retries) retries -> \(outcome)" }
    }

    static let rows: [Row] = [
        Row(ending: .returned, outcome: .succeeded),
        Row(ending: .returned, retries: 9, expires: noon - 5, outcome: .succeeded),
        Row(ending: .undecodable(undecodable), outcome: .dead(.undecodable(undecodable))),
        Row(ending: .unknownName, outcome: .parked),
        Row(ending: .interrupted, retries: 2, outcome: .requeued),
        Row(ending: .crashedTooOften(CrashHistory(crashes: [])), outcome: .dead(.crashed)),
        Row(ending: .expired, outcome: .dead(.expired)),
        Row(ending: .expired, expiryPolicy: .discard, outcome: .expired),
        Row(ending: .threw(SampleError()), outcome: .retry(after: .seconds(10))),
        Row(ending: .threw(SampleError()), retries: 1, outcome: .retry(after: .seconds(10))),
        Row(ending: .threw(SampleError()), retries: 2, outcome: .dead(.attemptsExhausted)),
        Row(ending: .threw(SampleError()), retries: 7, outcome: .dead(.attemptsExhausted)),
        Row(ending: .threw(SampleError()), policy: .none, outcome: .dead(.attemptsExhausted)),
        Row(ending: .threw(JobFailure.permanent("no")), outcome: .dead(.permanent)),
        Row(ending: .threw(JobFailure.permanent("no")), retries: 2, outcome: .dead(.permanent)),
        Row(ending: .threw(JobFailure.retry(after: .seconds(3))), outcome: .retry(after: .seconds(3))),
        Row(ending: .threw(JobFailure.retry(after: .seconds(-3))), outcome: .retry(after: .zero)),
        Row(
            ending: .threw(JobFailure.retry(after: .seconds(1 << 40))),
            outcome: .retry(after: .seconds((1 << 28) - 1))
        ),
        Row(ending: .threw(JobFailure.retry(after: .seconds(3))), retries: 2, outcome: .dead(.attemptsExhausted)),
        Row(ending: .threw(UndecodablePayload(reason: undecodable)), outcome: .dead(.undecodable(undecodable))),
        Row(ending: .threw(undecodable), outcome: .retry(after: .seconds(10))),
        Row(ending: .threw(SampleError()), expires: noon + 11, outcome: .retry(after: .seconds(10))),
        Row(ending: .threw(SampleError()), expires: noon + 10, outcome: .dead(.expired)),
        Row(ending: .threw(SampleError()), expires: noon + 9, expiryPolicy: .discard, outcome: .dead(.expired)),
        Row(ending: .threw(SampleError()), policy: fixed.deciding { _ in .never }, outcome: .dead(.permanent)),
        Row(
            ending: .threw(SampleError()),
            policy: fixed.deciding { _ in .retry },
            outcome: .retry(after: .seconds(10))
        ),
    ]

    @Test(arguments: rows)
    func `Each attempt result has its outcome`(row: Row) throws {
        let message = try Envelope(encoding: Tidy(), now: noon).message
        let envelope = Envelope(
            id: "i",
            name: "t",
            retries: row.retries,
            eta: nil,
            expires: row.expires,
            message: message
        )
        var generator = SeededGenerator(seed: 1)
        let outcome = Outcome.decide(
            row.ending,
            envelope: envelope,
            policy: row.policy,
            expiryPolicy: row.expiryPolicy,
            now: noon,
            using: &generator
        )
        #expect(outcome == row.outcome)
    }

    @Test func `The same random numbers give the same delay`() {
        func delay(_ seed: UInt64) -> Outcome {
            var generator = SeededGenerator(seed: seed)
            return .decide(.threw(SampleError()), envelope: nil, policy: .standard, now: noon, using: &generator)
        }
        #expect(delay(4) == delay(4))
        #expect(delay(4) != delay(5))
    }
}
