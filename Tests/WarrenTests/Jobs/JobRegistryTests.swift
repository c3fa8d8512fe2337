import AMQP
import Foundation
import Logging
import Synchronization
import Testing

@testable import Warren

private let registryIsOff = false

@Suite struct JobRegistryTests {
    @Test func `A handler gets its job's payload and context`() async throws {
        let seen = Mutex<[String]>([])
        let registry = try JobRegistry {
            Handler(SendEmail.self) { email, context in
                seen.withLock { $0.append("\(email.to) \(context.name) \(context.attempt) \(context.retriesLeft)") }
            }
        }
        let envelope = try Envelope(encoding: SendEmail(to: "a@b.c", subject: "s"), now: noon)
        try await #require(registry["emails.send"]).run(envelope, context(envelope))
        #expect(seen.withLock { $0 } == ["a@b.c emails.send 1 7"])
        #expect(registry["other"] == nil)
        #expect(registry.names == ["emails.send"])
    }

    @Test func `The error about two handlers for one name names it`() throws {
        let error = try #require(throws: WarrenError.self) {
            try JobRegistry {
                Handler(Tidy.self) { _, _ in }
                Handler(SendEmail.self) { _, _ in }
                Handler(Tidy.self) { _, _ in }
            }
        }
        #expect(error.code == .duplicateHandler)
        #expect(error.message.contains("'tidy'"))
    }

    @Test func `A job can't have an empty, overlong or unprintable name`() throws {
        for name in ["", String(repeating: "n", count: 256), "a\nb"] {
            let error = try #require(throws: WarrenError.self) { try JobName.validate(name) }
            #expect(error.code == .invalidJobName)
        }
    }

    @Test func `An undecodable payload is distinguished from the handler's errors, even of the same type`() async throws
    {
        let registry = try JobRegistry {
            Handler(SendEmail.self) { _, _ in throw EnvelopeError(.notJSON, "the handler's own") }
        }
        let handler = try #require(registry["emails.send"])
        let wrong = try Envelope(encoding: Tidy(), now: noon)
        await #expect(throws: UndecodablePayload.self) { try await handler.run(wrong, context(wrong)) }
        let right = try Envelope(encoding: SendEmail(to: "a", subject: "b"), now: noon)
        await #expect(throws: EnvelopeError.self) { try await handler.run(right, context(right)) }
    }

    @Test func `Handlers can be chosen by conditions and loops`() throws {
        let isOn = !registryIsOff
        let registry = try JobRegistry {
            if isOn { Handler(Tidy.self) { _, _ in } }
            if !isOn { Handler(Tidy.self) { _, _ in } } else { Handler(SendEmail.self) { _, _ in } }
        }
        #expect(registry.names == ["emails.send", "tidy"])
    }

    private func context(_ envelope: Envelope) -> JobContext {
        JobContext(envelope: envelope, queue: "emails", worker: "w", maximumAttempts: 8, logger: Logger(label: "test"))
    }
}
