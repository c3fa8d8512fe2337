import AMQP
import Foundation
import RabbitMQ
import Testing

@Suite(
    .enabled(if: ProcessInfo.processInfo.environment["WARREN_BROKER_URL"] != nil, "needs WARREN_BROKER_URL"),
    .timeLimit(.minutes(1))
)
struct DeclarationMismatchOnBrokerTests {
    let client: RabbitMQClient
    let name = "mismatch's 'name' \(UInt64.random(in: 0 ... .max))"

    init() throws {
        client = try RabbitMQClient(url: ProcessInfo.processInfo.environment["WARREN_BROKER_URL"] ?? "")
    }

    /// Declares until the broker agrees, and gives the differences that were found on the way.
    func differences(_ declaration: QueueDeclaration) async throws -> [DeclarationMismatch] {
        var declaration = declaration
        var found: [DeclarationMismatch] = []
        while true {
            do throws(AMQPError) {
                try await client.declare(declaration)
                return found
            } catch {
                let mismatch = try #require(error.reply.flatMap(DeclarationMismatch.init(reply:)), "\(error)")
                found.append(mismatch)
                declaration = try #require(declaration.adopting(mismatch), "\(mismatch)")
            }
        }
    }

    func withQueue(_ existing: QueueDeclaration, _ body: () async throws -> Void) async throws {
        try await client.declare(existing)
        do { try await body() } catch {
            _ = try? await client.deleteQueue(existing.name)
            throw error
        }
        try await client.deleteQueue(existing.name)
        await client.close()
    }

    @Test func `A mismatch shows every argument in which a plain quorum queue differs from Warren's`() async throws {
        try await withQueue(QueueDeclaration(name, arguments: QueueArguments(.quorum) { $0.maxLength = 7 })) {
            let wanted = QueueArguments(.quorum) {
                $0.deadLetterExchange = "warren.dead"
                $0.deadLetterRoutingKey = "emails"
                $0.deadLetterStrategy = .atLeastOnce
                $0.overflow = .rejectPublish
                $0.deliveryLimit = 50
            }
            let found = try await differences(QueueDeclaration(name, arguments: wanted))
            #expect(found.allSatisfy { $0.name == name && $0.virtualHost == "/" && $0.object == .queue && !$0.isCut })
            #expect(
                Set(found.map(\.argument)) == [
                    "x-dead-letter-exchange", "x-dead-letter-routing-key", "x-dead-letter-strategy", "x-overflow",
                    "x-delivery-limit", "x-max-length",
                ]
            )
            #expect(found.first { $0.argument == "x-max-length" }?.current?.fieldValue == .int64(7))
            #expect(found.first { $0.argument == "x-delivery-limit" }?.received?.fieldValue == .int64(50))
        }
    }

    @Test func `A mismatch shows the type, both values and the properties of a classic queue`() async throws {
        let arguments = QueueArguments(.classic) { $0.messageTTL = .seconds(2) }
        let existing = QueueDeclaration(name, isAutoDelete: true, arguments: arguments)
        try await withQueue(existing) {
            let wanted = QueueDeclaration(name, arguments: QueueArguments(.quorum) { $0.messageTTL = .seconds(1) })
            let found = try await differences(wanted)
            #expect(Set(found.map(\.argument)) == ["x-queue-type", "x-message-ttl", "auto_delete"])
            let ttl = try #require(found.first { $0.argument == "x-message-ttl" })
            #expect(ttl.received?.text == "1000")
            #expect(ttl.current?.text == "2000")
            #expect(ttl.policyKey == "message-ttl")
        }
    }

    @Test func `A mismatch is parsed as far as the broker's truncated text goes`() async throws {
        // Not outside ASCII: RabbitMQ 4 cuts at 255 characters and then fails (541) over more than 255 bytes.
        let long = String(repeating: "q", count: 240)
        try await withQueue(QueueDeclaration(long)) {
            let wanted = QueueDeclaration(long, arguments: QueueArguments(.classic) { $0.messageTTL = .seconds(1) })
            let error = await #expect(throws: AMQPError.self) { try await client.declare(wanted) }
            #expect(error?.code == .declarationMismatch)
            let mismatch = try #require(error?.reply.flatMap(DeclarationMismatch.init(reply:)))
            #expect(mismatch.isCut)
            #expect(mismatch.argument == "x-message-ttl")
        }
    }

    @Test func `A mismatch shows the kind and properties of an exchange`() async throws {
        let existing = ExchangeDeclaration(name, kind: .topic, isAutoDelete: true, alternateExchange: "a'b")
        try await client.declare(existing)
        var wanted = ExchangeDeclaration(name, kind: .direct, isInternal: true)
        var found: [String] = []
        while found.count < 10 {
            do throws(AMQPError) {
                try await client.declare(wanted)
                break
            } catch {
                let mismatch = try #require(error.reply.flatMap(DeclarationMismatch.init(reply:)), "\(error)")
                found.append(mismatch.argument)
                wanted = try #require(wanted.adopting(mismatch), "\(mismatch)")
            }
        }
        try await client.deleteExchange(name)
        await client.close()
        #expect(Set(found) == ["type", "auto_delete", "internal", "alternate-exchange"])
        #expect(wanted.arguments == existing.arguments)
    }
}
