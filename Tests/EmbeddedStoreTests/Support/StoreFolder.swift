import AMQP
import EmbeddedBroker
import EmbeddedStore
import Foundation
import Logging
import TestSupport

/// A test's own folder with a durable broker's file.
struct StoreFolder: Sendable {
    let folder: URL
    var path: String { folder.appending(path: "jobs.db").path }

    static func with<Value>(_ body: (StoreFolder) async throws -> Value) async throws -> Value {
        let folder = FileManager.default.temporaryDirectory.appending(path: "warren-store-\(UUID().uuidString)")
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(at: folder) }
        return try await body(StoreFolder(folder: folder))
    }

    /// Runs a broker on the file, and closes it.
    @discardableResult
    func run<Value>(
        _ version: BrokerVersion = BrokerVersion(4, 3),
        clock: any Clock<Duration> = ContinuousClock(),
        _ body: (EmbeddedBroker) async throws -> Value
    ) async throws -> Value {
        let broker = try await EmbeddedBroker.open(path: path, version: version, clock: clock, logger: .quiet)
        do {
            let value = try await body(broker)
            await broker.close()
            return value
        } catch {
            await broker.close()
            throw error
        }
    }

    /// The names of the folder's files.
    var names: [String] {
        get throws { try FileManager.default.contentsOfDirectory(atPath: folder.path).sorted() }
    }

    /// Copies the file with its log, as a crash at this moment would leave them; a broker may have them open.
    func copy(to other: StoreFolder) throws {
        for name in try names where name == "jobs.db" || name == "jobs.db-wal" {
            let target = other.folder.appending(path: name)
            try? FileManager.default.removeItem(at: target)
            try FileManager.default.copyItem(at: folder.appending(path: name), to: target)
        }
    }
}

extension Message {
    /// A persistent message with an id.
    init(id: String, _ configure: (inout BasicProperties) -> Void = { _ in }) {
        var properties = BasicProperties()
        properties.messageID = id
        properties.deliveryMode = .persistent
        configure(&properties)
        self.init(properties: properties, body: Array(id.utf8))
    }

    var id: String { properties.messageID ?? "" }
}

extension EmbeddedBroker {
    /// The ids of the ready messages, in order.
    func ids(in queue: String) -> [String] { readyMessages(in: queue).map(\.id) }
}
