import AMQP
import Dispatch
import EmbeddedBroker
import Logging
import TestSupport
import Testing

@testable import EmbeddedStore

@Suite(.timeLimit(.minutes(1))) struct WritingTests {
    @Test func `Concurrent publishes share a transaction`() async throws {
        try await StoreFolder.with { folder in
            let (broker, journal) = try await EmbeddedBroker.open(path: folder.path, StoreSettings())
            try await broker.declare(QueueDeclaration("kept"))
            try await withThrowingTaskGroup(of: Void.self) { group in
                for number in 1...1_000 {
                    group.addTask { try await broker.publish(Message(id: "\(number)"), to: .queue("kept")) }
                }
                try await group.waitForAll()
            }
            #expect(journal.statistics.transactions < 500)
            await broker.close()
            try await folder.run { #expect(Set($0.ids(in: "kept")).count == 1_000) }
        }
    }

    @Test func `When the file can't grow, publishes fail clearly and nothing confirmed is lost`() async throws {
        try await StoreFolder.with { folder in
            var settings = StoreSettings()
            settings.maximumPages = 60
            let (broker, journal) = try await EmbeddedBroker.open(
                path: folder.path,
                settings,
                logger: .quiet
            )
            try await broker.declare(QueueDeclaration("full"))
            var confirmed: [String] = []
            var failure: AMQPError?
            for number in 1...1_000 where failure == nil {
                var message = Message(id: "\(number)")
                message.body = Array(repeating: 1, count: 3_000)
                do throws(AMQPError) {
                    try await broker.publish(message, to: .queue("full"))
                    confirmed.append(message.id)
                } catch { failure = error }
            }
            #expect(failure?.code == .notPersisted)
            #expect(failure?.outcomeIsKnown == false)
            #expect(failure?.isRetriable == true)
            #expect(failure?.message.contains(folder.path) == true)
            #expect(failure?.message.contains("full") == true)
            #expect(confirmed.count > 10)

            // Its health gives the reason, and publishes are blocked.
            guard let reason = broker.health.publishing.blockedReason else {
                Issue.record("not blocked")
                return
            }
            #expect(reason.contains(folder.path))
            let blocked = await #expect(throws: AMQPError.self) {
                try await broker.publish(
                    Message(id: "late"),
                    to: .queue("full"),
                    mandatory: true,
                    deadline: .now + .milliseconds(20)
                )
            }
            #expect(blocked?.code == .blocked)

            // Acknowledging makes room; then publishing works again.
            for id in confirmed.prefix(8) {
                let delivery = try #require(try await broker.get(queue: "full"))
                #expect(delivery.message.id == id)
                delivery.ack()
            }
            journal.retry()
            try await broker.publish(Message(id: "after"), to: .queue("full"))
            #expect(broker.health.publishing == .open)
            let expected = broker.ids(in: "full")
            #expect(Set(expected).isSuperset(of: confirmed.dropFirst(8)))
            await broker.close()
            try await folder.run { #expect($0.ids(in: "full") == expected) }
        }
    }

    @Test func `A broker closed while its file is full keeps everything confirmed`() async throws {
        try await StoreFolder.with { folder in
            var settings = StoreSettings()
            settings.maximumPages = 40
            let (broker, _) = try await EmbeddedBroker.open(path: folder.path, settings, logger: .quiet)
            try await broker.declare(QueueDeclaration("full"))
            let confirmed = await withTaskGroup(of: String?.self) { group in
                for number in 1...200 {
                    group.addTask {
                        var message = Message(id: "\(number)")
                        message.body = Array(repeating: 1, count: 3_000)
                        let deadline = ContinuousClock.now + .milliseconds(300)
                        do {
                            try await broker.publish(message, to: .queue("full"), mandatory: true, deadline: deadline)
                            return message.id
                        } catch { return nil }
                    }
                }
                return await group.reduce(into: Set<String>()) { if let id = $1 { $0.insert(id) } }
            }
            #expect(confirmed.count < 200)
            await broker.close()
            try await folder.run { #expect(Set($0.ids(in: "full")).isSuperset(of: confirmed)) }
        }
    }

    @Test func `While the disk hangs, publishes end at their deadline or with their task, outcome unknown`()
        async throws
    {
        try await StoreFolder.with { folder in
            let (broker, journal) = try await EmbeddedBroker.open(path: folder.path, StoreSettings())
            try await broker.declare(QueueDeclaration("kept"))
            let disk = DispatchSemaphore(value: 0)
            journal.file.perform { _ in disk.wait() }
            let late = await #expect(throws: AMQPError.self) {
                // Long enough for the broker to accept the message on a busy machine.
                let deadline = ContinuousClock.now + .seconds(1)
                try await broker.publish(Message(id: "late"), to: .queue("kept"), mandatory: true, deadline: deadline)
            }
            #expect(late?.code == .confirmTimedOut)
            #expect(late?.message.contains(folder.path) == true)
            try await withThrowingTaskGroup(of: Void.self) { group in
                group.addTask { try await broker.publish(Message(id: "cancelled"), to: .queue("kept")) }
                try await until { broker.ids(in: "kept").count == 2 }
                group.cancelAll()
                let error = await #expect(throws: AMQPError.self) { try await group.next() }
                #expect(error?.code == .cancelled)
                #expect(error?.outcomeIsKnown == false)
            }
            disk.signal()
            try await broker.publish(Message(id: "after"), to: .queue("kept"))
            await broker.close()
            try await folder.run { #expect($0.ids(in: "kept") == ["late", "cancelled", "after"]) }
        }
    }

    @Test func `A publish to a closed broker fails and is not persisted`() async throws {
        try await StoreFolder.with { folder in
            let broker = try await EmbeddedBroker.open(path: folder.path)
            try await broker.declare(QueueDeclaration("kept"))
            await broker.close()
            await broker.close()
            let error = await #expect(throws: AMQPError.self) {
                try await broker.publish(Message(id: "late"), to: .queue("kept"))
            }
            #expect(error?.code == .closed)
            try await folder.run { #expect($0.ids(in: "kept") == []) }
        }
    }
}
