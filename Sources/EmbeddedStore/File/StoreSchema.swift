import GRDB

/// The tables of the file, and their versions.
enum StoreSchema {
    /// The application id in SQLite's header: "wrrn".
    static let applicationID: Int32 = 0x7772_726E

    /// The version that this program writes.
    static var version: Int { steps.count }

    /// The steps from each version to the next, starting with an empty file.
    ///
    /// Steps are added, never changed. `return_count` is the number of requeues.
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

    /// Upgrades a file from an older version to this program's.
    static func upgrade(_ database: Database, from old: Int) throws {
        guard old < version else { return }
        for step in steps[old...] { try database.execute(sql: step) }
        try database.execute(sql: "PRAGMA user_version = \(version)")
    }
}
