import AMQP
import ArgumentParser
import Foundation
import Testing
import Warren

@testable import WarrenCommands

struct DeadLetterReportTests {
    private static let died = Date(timeIntervalSince1970: 1_000_000)

    private static func letter(_ name: String = "emails.send") -> DeadLetter {
        var record = FailureRecord()
        record.reason = .attemptsExhausted
        record.errorType = "App.Refused"
        record.message = "The server said\nno."
        record.originalExchange = "warren"
        record.originalRoutingKey = "emails"
        record.deadAt = died
        record.failures = 2
        record.history = [
            FailedAttempt(attempt: 2, time: died, worker: "w1", errorType: "App.Refused", message: "no")
        ]
        var headers: FieldTable = [EnvelopeHeader.task: .string(name), EnvelopeHeader.id: "id-1"]
        record.write(to: &headers)
        var properties = BasicProperties()
        properties.headers = headers
        return DeadLetter(Message(properties: properties, body: Array(#"[[],{"to":"a"},{}]"#.utf8)), of: "emails")
    }

    @Test func `A list shows no payloads`() throws {
        let text = try Output.jsonText(DeadLetterReport(Self.letter()))
        let object = try #require(try JSONSerialization.jsonObject(with: Data(text.utf8)) as? [String: Any])
        #expect(object["body"] == nil)
        #expect(object["id"] as? String == "id-1")
        #expect(object["name"] as? String == "emails.send")
        #expect(object["reason"] as? String == "attempts-exhausted")
        #expect(object["failures"] as? Int == 2)
        #expect(object["diedAt"] as? String == "1970-01-12T13:46:40Z")
        #expect((object["history"] as? [[String: Any]])?.first?["worker"] as? String == "w1")
    }

    @Test func `A row of the table shows the job, reason, failures and age`() {
        let table = DeadLetterReport.table([DeadLetterReport(Self.letter())], now: Self.died.addingTimeInterval(120))
        let row = table.split(separator: "\n").last ?? ""
        let cells = row.split(separator: " ", omittingEmptySubsequences: true).map(String.init)
        #expect(cells.starts(with: ["id-1", "emails.send", "emails", "attempts-exhausted", "2", "2m"]))
        #expect(row.hasSuffix("The server said no."))
    }

    @Test func `Showing one letter prints its history and payload`() {
        let lines = DeadLetterReport(Self.letter(), showsBody: true).lines(now: Self.died)
        #expect(lines.contains("came from  exchange 'warren' with routing key 'emails'"))
        #expect(lines.contains { $0.hasPrefix("attempt 2") && $0.hasSuffix("on w1: App.Refused: no") })
        #expect(lines.contains(#"body       [[],{"to":"a"},{}]"#))
    }

    @Test func `A message without any headers is listed too`() {
        let letter = DeadLetter(Message(body: [0xFF]), of: "emails")
        let table = DeadLetterReport.table([DeadLetterReport(letter)], now: Self.died)
        #expect(table.contains("?"))
    }

    @Test func `Every filter option is part of the filter`() throws {
        let options = try DeadFilterOptions.parse([
            "--job", "emails.send", "--reason", "permanent", "--older-than", "1m", "--newer-than", "1h", "--text", "no",
        ])
        let filter = options.filter(id: "id-1", now: Self.died)
        #expect(
            filter
                == DeadLetterFilter(
                    id: "id-1",
                    name: "emails.send",
                    reason: .permanent,
                    diedBefore: Self.died.addingTimeInterval(-60),
                    diedSince: Self.died.addingTimeInterval(-3_600),
                    text: "no"
                )
        )
        #expect(try DeadFilterOptions.parse([]).isEmpty)
    }
}
