import AMQP
import EmbeddedBroker
import GRDB

#if canImport(FoundationEssentials)
import FoundationEssentials
#else
import Foundation
#endif

/// Writes changes into the tables, within a transaction of the caller's.
struct StoreWriter {
    /// More than what may be published, because the broker adds headers of its own.
    static let limits = WireLimits(depth: 64, values: 1 << 20)

    private let database: Database
    /// The numbers of queues as they are after the transaction.
    private(set) var queueIDs: [String: Int64]
    /// How many rows were written or deleted.
    private(set) var rows = 0

    init(_ database: Database, queueIDs: [String: Int64]) {
        self.database = database
        self.queueIDs = queueIDs
    }

    mutating func write(_ changes: PendingChanges) throws {
        for (name, exchange) in changes.exchanges { try write(name, exchange) }
        for (name, queue) in changes.queues { try write(name, queue) }
        for (binding, isThere) in changes.bindings { try write(binding, isThere) }
    }

    private mutating func write(_ name: String, _ exchange: ExchangeDeclaration?) throws {
        guard let exchange else { return try run("DELETE FROM exchange WHERE name = ?", [name]) }
        try run(
            "INSERT OR REPLACE INTO exchange (name, kind, is_auto_delete, is_internal, arguments) VALUES (?, ?, ?, ?, ?)",
            [
                name, exchange.kind.rawValue, exchange.isAutoDelete, exchange.isInternal,
                try Self.encoded(exchange.arguments),
            ]
        )
    }

    private mutating func write(_ binding: Binding, _ isThere: Bool) throws {
        let (isToExchange, target) =
            switch binding.target {
            case .queue(let name): (false, name)
            case .exchange(let name): (true, name)
            }
        let values: StatementArguments = [
            binding.source, isToExchange, target, binding.routingKey, try Self.encoded(binding.arguments),
        ]
        try run(
            isThere
                ? """
                INSERT OR REPLACE INTO binding (source, is_to_exchange, target, routing_key, arguments) VALUES (?, ?, ?, ?, ?)
                """
                : """
                DELETE FROM binding
                WHERE source = ? AND is_to_exchange = ? AND target = ? AND routing_key = ? AND arguments = ?
                """,
            values
        )
    }

    private mutating func write(_ name: String, _ changes: QueueChanges) throws {
        if changes.isReplaced, let id = queueIDs.removeValue(forKey: name) {
            try run("DELETE FROM message WHERE queue = ?", [id])
            try run("DELETE FROM queue WHERE id = ?", [id])
        }
        if let queue = changes.declaration {
            try run(
                """
                INSERT INTO queue (name, is_auto_delete, arguments) VALUES (?, ?, ?)
                ON CONFLICT (name) DO UPDATE SET is_auto_delete = excluded.is_auto_delete, arguments = excluded.arguments
                """,
                [name, queue.isAutoDelete, try Self.encoded(queue.arguments.arguments)]
            )
            queueIDs[name] = try Int64.fetchOne(database, sql: "SELECT id FROM queue WHERE name = ?", arguments: [name])
        }
        if changes.messages.isEmpty { return }
        guard let id = queueIDs[name] else { throw UndeclaredQueue(name: name) }
        // In order, so that what is read and written together lies together.
        for (position, change) in changes.messages.sorted(by: { $0.key < $1.key }) {
            try write(change, queue: id, position: Int64(bitPattern: position))
        }
    }

    private mutating func write(_ change: QueueChanges.MessageChange, queue: Int64, position: Int64) throws {
        switch change {
        case .gone: try run("DELETE FROM message WHERE queue = ? AND position = ?", [queue, position])
        case .delivered:
            try run("UPDATE message SET is_unsettled = 1 WHERE queue = ? AND position = ?", [queue, position])
        case .kept(let kept, let isUnsettled):
            try run(
                """
                INSERT INTO message (queue, position, expiry, delivery_count, return_count, is_unsettled, is_dead_lettered, exchange,
                    routing_key, properties, body)
                VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
                ON CONFLICT (queue, position) DO UPDATE SET expiry = excluded.expiry, delivery_count = excluded.delivery_count,
                    return_count = excluded.return_count, is_unsettled = excluded.is_unsettled,
                    is_dead_lettered = excluded.is_dead_lettered, exchange = excluded.exchange,
                    routing_key = excluded.routing_key, properties = excluded.properties, body = excluded.body
                """,
                [
                    queue, position, kept.expiry?.microsecondsRoundedUp, kept.deliveryCount, kept.requeueCount,
                    isUnsettled, kept.isDeadLettered, kept.destination.exchange, kept.destination.routingKey,
                    Data(try kept.message.properties.encoded(limits: Self.limits)), Data(kept.message.body),
                ]
            )
        }
    }

    private mutating func run(_ sql: String, _ values: StatementArguments) throws {
        try database.cachedStatement(sql: sql).execute(arguments: values)
        rows += 1
    }

    private static func encoded(_ table: FieldTable) throws(AMQPError) -> Data {
        var writer = WireWriter()
        try writer.write(table, limits: limits)
        return Data(writer.bytes)
    }
}

/// A message of a queue that the file doesn't know: the broker has not told of the queue.
struct UndeclaredQueue: Error, CustomStringConvertible {
    var name: String
    var description: String {
        "The queue '\(name)' has a message and was never declared here; this is a fault of the broker"
    }
}

extension Duration {
    /// Whole microseconds; never less than the duration, so that nothing expires early.
    var microsecondsRoundedUp: Int64 {
        let (seconds, attoseconds) = components
        let (whole, overflow) = seconds.multipliedReportingOverflow(by: 1_000_000)
        return overflow ? (seconds < 0 ? .min : .max) : whole + (attoseconds + 999_999_999_999) / 1_000_000_000_000
    }
}
