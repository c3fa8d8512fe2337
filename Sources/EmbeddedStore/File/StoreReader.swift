import AMQP
import EmbeddedBroker
import GRDB

#if canImport(FoundationEssentials)
import FoundationEssentials
#else
import Foundation
#endif

/// Reads the tables as the changes that restore a broker's state.
struct StoreReader {
    private let database: Database
    private let path: String
    private(set) var queueIDs: [String: Int64] = [:]
    private var queueNames: [Int64: String] = [:]

    init(_ database: Database, path: String) {
        self.database = database
        self.path = path
    }

    /// Reads exchanges, queues and bindings, then the messages of each queue by position.
    mutating func read() throws -> [BrokerChange] {
        var changes = try readExchanges()
        changes += try readQueues()
        changes += try readBindings()
        try readMessages(into: &changes)
        return changes
    }

    private func readExchanges() throws -> [BrokerChange] {
        try rows("SELECT name, kind, is_auto_delete, is_internal, arguments FROM exchange ORDER BY name") { row in
            .exchangeDeclared(
                ExchangeDeclaration(
                    try row.value(0),
                    kind: ExchangeKind(rawValue: try row.value(1)),
                    isAutoDelete: try row.value(2),
                    isInternal: try row.value(3),
                    otherArguments: try row.table(4)
                )
            )
        }
    }

    private mutating func readQueues() throws -> [BrokerChange] {
        var ids: [String: Int64] = [:]
        let changes: [BrokerChange] = try rows("SELECT id, name, is_auto_delete, arguments FROM queue ORDER BY id") {
            row in
            let name: String = try row.value(1)
            ids[name] = try row.value(0)
            var arguments = QueueArguments()
            arguments.other = try row.table(3)
            return .queueDeclared(QueueDeclaration(name, isAutoDelete: try row.value(2), arguments: arguments))
        }
        queueIDs = ids
        queueNames = Dictionary(uniqueKeysWithValues: ids.map { ($1, $0) })
        return changes
    }

    private func readBindings() throws -> [BrokerChange] {
        try rows("SELECT source, is_to_exchange, target, routing_key, arguments FROM binding") { row in
            let target: String = try row.value(2)
            return .bound(
                Binding(
                    from: try row.value(0),
                    to: try row.value(1) ? .exchange(target) : .queue(target),
                    routingKey: try row.value(3),
                    arguments: try row.table(4)
                )
            )
        }
    }

    private func readMessages(into changes: inout [BrokerChange]) throws {
        let cursor = try Row.fetchCursor(
            database,
            sql: """
                SELECT queue, position, expiry, delivery_count, return_count, is_unsettled, is_dead_lettered, exchange, routing_key,
                    properties, body
                FROM message ORDER BY queue, position
                """
        )
        while let row = try cursor.next() {
            let position = UInt64(bitPattern: try row.value(1))
            guard let queue = queueNames[try row.value(0)] else {
                throw fault("has a message, number \(position), of a queue that doesn't exist in it.")
            }
            do {
                let message = try row.message(queue, position)
                changes.append(.messageStored(message))
                if try row.value(5) { changes.append(.messageDelivered(queue: queue, position: position)) }
            } catch {
                throw fault("has a message, number \(position) of the queue '\(queue)', that can't be read.", error)
            }
        }
    }

    private func rows(_ sql: String, _ change: (Row) throws -> BrokerChange) throws -> [BrokerChange] {
        var changes: [BrokerChange] = []
        let cursor = try Row.fetchCursor(database, sql: sql)
        do {
            while let row = try cursor.next() { changes.append(try change(row)) }
        } catch let error as DatabaseError {
            throw error
        } catch {
            throw fault("has a declaration that can't be read.", error)
        }
        return changes
    }

    private func fault(_ what: String, _ error: (any Error)? = nil) -> AMQPError {
        .storeUnusable(path, "is corrupt: it \(what) \(StoreFile.recoveryAdvice)", error)
    }
}

/// A column whose value has the wrong type.
private struct WrongColumn: Error {
    var index: Int
}

extension Row {
    /// A column's value; GRDB's own accessors would end the process if the file is corrupt.
    fileprivate func value<Value: DatabaseValueConvertible>(_ index: Int) throws -> Value {
        guard let value = Value.fromDatabaseValue(self[index] as DatabaseValue) else { throw WrongColumn(index: index) }
        return value
    }

    fileprivate func bytes(_ index: Int) throws -> [UInt8] { [UInt8](try value(index) as Data) }

    fileprivate func table(_ index: Int) throws -> FieldTable {
        try FieldTable(decoding: try bytes(index), limits: StoreWriter.limits)
    }

    fileprivate func message(_ queue: String, _ position: UInt64) throws -> PersistedMessage {
        let expiry: Int64? = (self[2] as DatabaseValue).isNull ? nil : try value(2)
        return PersistedMessage(
            queue: queue,
            position: position,
            message: Message(
                properties: try BasicProperties(decoding: try bytes(9), limits: StoreWriter.limits),
                body: try bytes(10)
            ),
            destination: Destination(exchange: try value(7), routingKey: try value(8)),
            expiry: expiry.map { .microseconds($0) },
            deliveryCount: try value(3),
            requeueCount: try value(4),
            isDeadLettered: try value(6)
        )
    }
}
