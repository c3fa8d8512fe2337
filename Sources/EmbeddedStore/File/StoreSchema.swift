import GRDB

/// The tables of the file, and its versions.
enum StoreSchema {
    /// What SQLite's header calls the program that a file belongs to: "wrrn".
    static let applicationID: Int32 = 0x7772_726E

    /// The version that this program writes.
    static var version: Int { steps.count }

    /// What makes each version out of the one before, from an empty file on.
    ///
    /// Steps are added, never changed.
    private static let steps = [
        """
        CREATE TABLE exchange (
            name TEXT PRIMARY KEY, kind TEXT NOT NULL, is_auto_delete INTEGER NOT NULL, is_internal INTEGER NOT NULL,
            arguments BLOB NOT NULL
        ) STRICT, WITHOUT ROWID;
        CREATE TABLE queue (
            id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, is_auto_delete INTEGER NOT NULL, arguments BLOB NOT NULL
        ) STRICT;
        CREATE TABLE binding (
            source TEXT NOT NULL, is_to_exchange INTEGER NOT NULL, target TEXT NOT NULL, routing_key TEXT NOT NULL,
            arguments BLOB NOT NULL, PRIMARY KEY (source, is_to_exchange, target, routing_key, arguments)
        ) STRICT, WITHOUT ROWID;
        CREATE TABLE message (
            id INTEGER PRIMARY KEY, queue INTEGER NOT NULL, position INTEGER NOT NULL, expiry INTEGER,
            delivery_count INTEGER NOT NULL, return_count INTEGER NOT NULL, is_unsettled INTEGER NOT NULL,
            is_dead_lettered INTEGER NOT NULL, exchange TEXT NOT NULL, routing_key TEXT NOT NULL,
            properties BLOB NOT NULL, body BLOB NOT NULL, UNIQUE (queue, position)
        ) STRICT;
        """
    ]

    /// Brings a file of a version to this program's.
    static func upgrade(_ database: Database, from old: Int) throws {
        guard old < version else { return }
        for step in steps[old...] { try database.execute(sql: step) }
        try database.execute(sql: "PRAGMA user_version = \(version)")
    }
}
