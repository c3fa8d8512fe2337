import ArgumentParser
import Testing
import Warren

@testable import WarrenCommands

struct JobRequestTests {
    private func request(
        _ name: String,
        _ json: String,
        queue: QueueName? = nil,
        lane: Lane? = nil
    ) throws -> JobRequest {
        try JobRequest(name: name, json: json, queue: queue, lane: lane, kinds: SampleApplication.jobs)
    }

    @Test func `A job of the application goes to its own queue and lane`() throws {
        let request = try request("emails.send", #"{"to": "ada@example.com"}"#)
        #expect(request.queue == "emails")
        #expect(request.lane == .high)
        #expect(request.timeToLive == .seconds(60))
    }

    @Test func `Queue and lane can be chosen`() throws {
        let request = try request("emails.send", #"{"to": "ada@example.com"}"#, queue: "reports", lane: .low)
        #expect(request.queue == "reports")
        #expect(request.lane == .low)
    }

    @Test func `A payload that isn't one of the job is refused, with the argument that is wrong`() {
        let missing = #expect(throws: EnvelopeError.self) { try request("emails.send", "{}") }
        #expect(missing?.message.contains("'to' is missing") == true)
        let mistyped = #expect(throws: EnvelopeError.self) {
            try request("emails.send", #"{"to": "a", "copies": "x"}"#)
        }
        #expect(mistyped?.message.contains("'copies'") == true)
    }

    @Test(arguments: ["", "[]", "null", "{", "{},{}", #"{"to":"a"},{"to":"b"}"#]
    )
    func `What isn't one JSON object is refused`(json: String) {
        #expect(throws: EnvelopeError.self) { try request("emails.send", json) }
    }

    @Test func `A name that the application doesn't have needs a queue, and then goes as it is`() throws {
        let error = #expect(throws: ValidationError.self) { try request("other.job", "{}") }
        #expect(error?.message.contains("only emails.send") == true)
        let sent = try request("other.job", #"{"any": 1}"#, queue: "other")
        #expect(sent.queue == "other")
        #expect(sent.lane == .normal)
    }
}
