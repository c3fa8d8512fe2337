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

    @Test func `A payload of the wrong type is refused with the wrong argument`() {
        let missing = #expect(throws: EnvelopeError.self) { try request("emails.send", "{}") }
        #expect(missing?.message.contains("'to' is missing") == true)
        let mistyped = #expect(throws: EnvelopeError.self) {
            try request("emails.send", #"{"to": "a", "copies": "x"}"#)
        }
        #expect(mistyped?.message.contains("'copies'") == true)
    }

    @Test(arguments: ["", "[]", "null", "{", "{},{}", #"{"to":"a"},{"to":"b"}"#]
    )
    func `A payload that isn't one JSON object is refused`(json: String) {
        #expect(throws: EnvelopeError.self) { try request("emails.send", json) }
    }

    @Test func `An unknown job name needs a queue, and its payload is sent unchecked`() throws {
        let error = #expect(throws: ValidationError.self) { try request("other.job", "{}") }
        #expect(error?.message.contains("its jobs are: emails.send") == true)
        let sent = try request("other.job", #"{"any": 1}"#, queue: "other")
        #expect(sent.queue == "other")
        #expect(sent.lane == .normal)
    }
}
