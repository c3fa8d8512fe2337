import AMQP
import EmbeddedBroker
import GRDB

#if canImport(FoundationEssentials)
import FoundationEssentials
#else
import Foundation
#endif

/// Writes changes to the tables, within the caller's transaction.
struct StoreWriter {
    /// Limits above those for published messages, because the broker adds headers.
    static let limits = WireLimits(depth: 64, values: 1 << 20)

    private let database: Database
    /// The ids of queues as they will be after the transaction.
    private(set) var queueIDs: [String: Int64]
    /// The number of rows written or deleted.
    private(set) var rows = 0

    init(_ database: Database, queueIDs: [String: Int64]) {
        self.database = database
        self.queueIDs = queueIDs
    }

    mutating func write(_ changes: PendingChanges) throws {
        for (name, exchange) in changes.exchanges { try write(name, exchange) }
        for (name, queue) in changes.queues { try write(name, queue) }
        for (binding, exists) in changes.bindings { try write(binding, exists) }
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

    private mutating func write(_ binding: Binding, _ exists: Bool) throws {
        let (isToExchange, target) =
            switch binding.target {
            case .queue(let name): (false, name)
            case .exchange(let name): (true, name)
            }
        let values: StatementArguments = [
            binding.source, isToExchange, target, binding.routingKey, try Self.encoded(binding.arguments),
        ]
        try run(
            exists
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
        // In order, so that messages that are read and written together lie together.
        for (position, change) in changes.messages.sorted(by: { $0.key < $1.key }) {
            try write(change, queue: id, position: Int64(bitPattern: position))
        }
    }

    private mutating func write(_ change: QueueChanges.MessageChange, queue: Int64, position: Int64) throws {
        switch change {
        case .removed: try run("DELETE FROM message WHERE queue = ? AND position = ?", [queue, position])
        case .delivered:
            try run("UPDATE message SET is_unsettled = 1 WHERE queue = ? AND position = ?", [queue, position])
        case .stored(let message, let isUnsettled):
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
                    queue, position, message.expiry?.microsecondsRoundedUp, message.deliveryCount, message.requeueCount,
                    isUnsettled, message.isDeadLettered, message.destination.exchange, message.destination.routingKey,
                    Data(try message.message.properties.encoded(limits: Self.limits)), Data(message.message.body),
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

/// A message of a queue whose declaration the journal never got.
private struct UndeclaredQueue: Error, CustomStringConvertible {
    var name: String
    var description: String {
        """
        The queue '\(name)' has a message but was never declared in this file. This is a bug in the embedded broker; \
        please report it
        """
    }
}

extension Duration {
    /// Whole microseconds, rounded up so that nothing expires early.
    var microsecondsRoundedUp: Int64 {
        let (seconds, attoseconds) = components
        let (whole, overflow) = seconds.multipliedReportingOverflow(by: 1_000_000)
        return overflow ? (seconds < 0 ? .min : .max) : whole + (attoseconds + 999_999_999_999) / 1_000_000_000_000
    }
}
