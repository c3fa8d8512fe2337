import AMQP
import EmbeddedBroker
import EmbeddedStore
import Foundation
import GRDB
import Logging
import TestSupport
import Testing

@Suite(.timeLimit(.minutes(1))) struct OpeningTests {
    private func failure(_ folder: StoreFolder) async -> AMQPError? {
        await #expect(throws: AMQPError.self) {
            await (try EmbeddedBroker.open(path: folder.path, logger: .quiet)).close()
        }
    }

    @Test func `A second broker's error names the file and its user, and opening works once it is free`() async throws {
        try await StoreFolder.with { folder in
            let first = try await EmbeddedBroker.open(path: folder.path)
            let error = await failure(folder)
            #expect(error?.code == .resourceLocked)
            #expect(error?.message.contains(folder.path) == true)
            #expect(error?.message.contains("another broker of this process") == true)
            await first.close()
            try await folder.run { _ in }
        }
    }

    @Test func `A file that another program has open is in use, even without its lock`() async throws {
        try await StoreFolder.with { folder in
            try await folder.run { _ in }
            let other = try DatabaseQueue(path: folder.path)
            try await other.writeWithoutTransaction {
                try $0.execute(sql: "PRAGMA locking_mode = EXCLUSIVE; PRAGMA journal_mode = WAL; DELETE FROM message")
            }
            let error = await failure(folder)
            #expect(error?.code == .resourceLocked)
            try other.close()
            try await folder.run { _ in }
        }
    }

    @Test(arguments: ["This is a diary and nothing else.", String(repeating: "SQLite format 3? No. ", count: 100)])
    func `A file that isn't a database is left as it is, and no file is put beside it`(text: String) async throws {
        try await StoreFolder.with { folder in
            try Data(text.utf8).write(to: URL(filePath: folder.path))
            let error = await failure(folder)
            #expect(error?.code == .storeUnusable)
            #expect(error?.message.contains(folder.path) == true)
            #expect(try String(contentsOfFile: folder.path, encoding: .utf8) == text)
            #expect(try folder.names == ["jobs.db"])
        }
    }

    @Test func `A database of another program is left as it is`() async throws {
        try await StoreFolder.with { folder in
            let other = try DatabaseQueue(path: folder.path)
            try await other.write {
                try $0.execute(sql: "CREATE TABLE diary (day TEXT); INSERT INTO diary VALUES ('x')")
            }
            try other.close()
            let before = try Data(contentsOf: URL(filePath: folder.path))
            let error = await failure(folder)
            #expect(error?.code == .storeUnusable)
            #expect(error?.message.contains("another program") == true)
            #expect(try Data(contentsOf: URL(filePath: folder.path)) == before)
            #expect(try folder.names == ["jobs.db"])
        }
    }

    @Test func `A file of a later version is left as it is`() async throws {
        try await StoreFolder.with { folder in
            try await folder.run { try await $0.declare(QueueDeclaration("kept")) }
            let other = try DatabaseQueue(path: folder.path)
            try await other.writeWithoutTransaction { try $0.execute(sql: "PRAGMA user_version = 99") }
            try other.close()
            let error = await failure(folder)
            #expect(error?.code == .storeUnusable)
            #expect(error?.message.contains("99") == true)
            #expect(error?.message.contains("Update this program") == true)
        }
    }

    @Test func `A corrupt file is reported as corrupt, and not changed`() async throws {
        try await StoreFolder.with { folder in
            try await folder.run { broker in
                try await broker.declare(QueueDeclaration("kept"))
                for number in 1...200 { try await broker.publish(Message(id: "\(number)"), to: .queue("kept")) }
            }
            let whole = try Data(contentsOf: URL(filePath: folder.path))
            var rotten = whole
            for place in stride(from: 4_096 + 100, to: rotten.count, by: 97) { rotten[place] ^= 0xFF }
            for broken in [rotten, whole.prefix(whole.count / 2)] {
                try broken.write(to: URL(filePath: folder.path))
                let error = await failure(folder)
                #expect(error?.code == .storeUnusable)
                #expect(error?.message.contains("corrupt") == true)
                #expect(try Data(contentsOf: URL(filePath: folder.path)) == broken)
            }
        }
    }

    @Test func `A message that can't be read is reported with its queue`() async throws {
        try await StoreFolder.with { folder in
            try await folder.run { broker in
                try await broker.declare(QueueDeclaration("kept"))
                try await broker.publish(Message(id: "1"), to: .queue("kept"))
            }
            let other = try DatabaseQueue(path: folder.path)
            try await other.writeWithoutTransaction { try $0.execute(sql: "UPDATE message SET properties = x'FFFF'") }
            try other.close()
            let error = await failure(folder)
            #expect(error?.code == .storeUnusable)
            #expect(error?.message.contains("'kept'") == true)
        }
    }

    @Test func `An empty file is initialized, and a log without its file is left alone`() async throws {
        try await StoreFolder.with { folder in
            try Data().write(to: URL(filePath: folder.path))
            try await folder.run { _ in }
            try FileManager.default.removeItem(atPath: folder.path)
            try Data([1]).write(to: URL(filePath: folder.path + "-wal"))
            let error = await failure(folder)
            #expect(error?.code == .storeUnusable)
            #expect(error?.message.contains("-wal") == true)
            #expect(try folder.names == ["jobs.db-wal", "jobs.db.lock"])
        }
    }

    @Test func `A file is opened by its URL, and nothing else is`() async throws {
        try await StoreFolder.with { folder in
            try await folder.run { try await $0.declare(QueueDeclaration("kept")) }
            let broker = try await EmbeddedBroker.open(url: "file://\(folder.path)", logger: .quiet)
            #expect(broker.queueNames == ["kept"])
            await broker.close()
        }
        for url in ["memory://", "file://server/jobs.db", "file:jobs.db", "file:///", "/var/jobs.db", "amqp://h"] {
            let error = await #expect(throws: AMQPError.self) { _ = try await EmbeddedBroker.open(url: url) }
            #expect(error?.code == .invalidURL, "\(url)")
        }
    }

    @Test func `A missing folder is reported`() async throws {
        let error = await #expect(throws: AMQPError.self) {
            _ = try await EmbeddedBroker.open(path: "/nowhere/at/all/jobs.db")
        }
        #expect(error?.code == .storeUnusable)
        #expect(error?.message.contains("folder") == true)
    }

    @Test func `The rest of an unfinished file doesn't prevent opening`() async throws {
        try await StoreFolder.with { folder in
            try Data("half".utf8).write(to: URL(filePath: folder.path + ".new"))
            try await folder.run { _ in }
            #expect(try folder.names == ["jobs.db", "jobs.db.lock"])
        }
    }
}
