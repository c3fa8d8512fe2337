import AMQP
import Foundation
import RabbitMQ
import TestSupport
import Testing
import Warren

#if canImport(FoundationNetworking)
import FoundationNetworking
#endif

/// Messages that our own client refuses to send, published through the broker's HTTP interface.
@Suite(.needsBroker, .timeLimit(.minutes(1))) struct HostileHeadersTests {
    /// Publishes a job's message whose header `evil` has this JSON for a value.
    private func publish(evil: String, to queue: String) async throws {
        let address = try #require(ProcessInfo.processInfo.environment["WARREN_BROKER_MANAGEMENT_URL"])
        let headers = #"{"task": "tests.probe", "id": "one", "evil": \#(evil)}"#
        let properties = #"{"headers": \#(headers), "content_type": "application/json", "delivery_mode": 2}"#
        let body = #"""
            {"properties": \#(properties), "routing_key": "\#(queue)", "payload": "[[],{\"number\":1},{}]", "payload_encoding": "string"}
            """#
        var request = URLRequest(url: try #require(URL(string: "\(address)/api/exchanges/%2f/amq.default/publish")))
        request.httpMethod = "POST"
        request.httpBody = Data(body.utf8)
        let (answer, _) = try await URLSession.shared.data(for: request)
        let text = String(decoding: answer, as: UTF8.self)
        try #require(text.contains(#""routed":true"#), "\(text.prefix(200))")
    }

    /// Arrays and objects, one in the other.
    ///
    /// RabbitMQ 4 takes a time that grows with the square of the depth to read them: half a second for 10,000 levels.
    private static func nested(_ depth: Int) -> String {
        String(repeating: #"[{"a":"#, count: depth / 2) + "1" + String(repeating: "}]", count: depth / 2)
    }

    private static let many = "[" + Array(repeating: "true", count: 64_000).joined(separator: ",") + "]"

    @Test(arguments: [40, 10_000]) func `A message with headers nested too deeply is delivered without them`(
        depth: Int
    ) async throws {
        try await withQueue { client, queue in
            let deliveries = try await client.consume(queue: queue, prefetch: 10)
            var reader = deliveries.makeAsyncIterator()
            try await publish(evil: Self.nested(depth), to: queue)
            try await client.publish(Message(body: [2]), to: .queue(queue))
            let first = try #require(try await reader.next())
            let headers = try #require(first.message.properties.headers)
            #expect(headers["task"] == "tests.probe")
            #expect(headers["evil"] == nil)
            let reason = try #require(headers[FieldTable.omittedHeaders]?.stringValue)
            #expect(reason.contains("'evil'") && reason.contains("32 levels"))
            #expect(first.message.body.count == 20)
            // The connection lives.
            let second = try #require(try await reader.next())
            #expect(second.message.body == [2])
            first.ack()
            second.ack()
            await deliveries.cancel(requeuesUnsettled: true)
        }
    }

    @Test(arguments: [(nested(10_000), "too-deep"), (many, "headers-too-large")])
    func `A job with headers beyond the limits is dead with its reason, and the worker goes on`(
        evil: String,
        reason: String
    ) async throws {
        try await TestApplication.with { application in
            try await publish(evil: evil, to: application.queue.rawValue)
            let worker = application.worker {
                Handler(Probe.self) { _, _ in }
            }
            let dead = DeadLetters(application.client, topology: application.topology)
            try await application.run(worker) {
                try await application.until(application.queue.dead, holds: 1)
                _ = try await application.jobs.enqueue(Probe(number: 2), queue: application.queue)
                try await application.until(application.queue.rawValue, holds: 0)
            }
            let letter = try #require(try await dead.list(in: application.queue).first)
            #expect(letter.record.reason?.rawValue == reason)
        }
    }
}
