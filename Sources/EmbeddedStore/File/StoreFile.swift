import AMQP
import Dispatch
import EmbeddedBroker
import FileLock
import GRDB
import Synchronization

#if canImport(FoundationEssentials)
import FoundationEssentials
#else
import Foundation
#endif
#if canImport(System)
import System
#else
import SystemPackage
#endif

/// The file of a durable broker: an SQLite database that only this broker uses.
///
/// Beside it are, with suffixes to its name: `.lock`, which keeps others away; `-wal`, SQLite's log, which belongs to
/// it; and, briefly, `.new`, a file that is being created.
final class StoreFile: Sendable {
    static let recoveryAdvice =
        "Move it away and start with a new one; `sqlite3 FILE .recover` saves what can still be read."

    /// The file's path.
    let path: String
    private let lock: FileLock
    private let database: DatabaseQueue
    /// The ids of the queues in the file, by name.
    private let queueIDs = Mutex<[String: Int64]>([:])

    /// Opens a file, or creates it.
    ///
    /// - Parameter path: The file's path.
    /// - Parameter settings: Settings that tests change.
    /// - Throws: `AMQPError` with `resourceLocked` if another broker uses the file, or `storeUnusable`.
    init(at path: String, _ settings: StoreSettings = StoreSettings()) throws {
        self.path = path
        // Before the lock too: no file is created beside another program's file.
        _ = try Self.inspect(at: path)
        lock = try FileLock(at: path + ".lock")
        if try Self.inspect(at: path) != .own { try Self.make(path) }
        database = try DatabaseQueue(path: path, configuration: Self.configuration(settings))
        try database.writeWithoutTransaction { try Self.check($0, path) }
    }

    /// Performs work on the file, one piece at a time, on a thread that may block.
    func perform(_ work: @escaping @Sendable (Database) -> Void) { database.asyncWriteWithoutTransaction(work) }

    /// Writes all changes to the disk, or none; returns the number of rows.
    func write(_ changes: PendingChanges, to database: Database) throws -> Int {
        do {
            return try writeOnce(changes, to: database)
        } catch let error as DatabaseError where error.resultCode == .SQLITE_FULL {
            // Emptying the log into the file may make room in the log.
            _ = try? database.checkpoint(.truncate)
            return try writeOnce(changes, to: database)
        }
    }

    private func writeOnce(_ changes: PendingChanges, to database: Database) throws -> Int {
        var writer = StoreWriter(database, queueIDs: queueIDs.withLock(\.self))
        try database.inTransaction(.immediate) {
            try writer.write(changes)
            return .commit
        }
        queueIDs.withLock { $0 = writer.queueIDs }
        return writer.rows
    }

    /// The contents of the file, as the changes that lead there.
    func load() throws -> [BrokerChange] {
        try database.writeWithoutTransaction { database in
            var reader = StoreReader(database, path: path)
            let changes = try reader.read()
            queueIDs.withLock { $0 = reader.queueIDs }
            return changes
        }
    }

    /// Closes the file and releases its lock.
    func close() async {
        await withCheckedContinuation { continuation in
            DispatchQueue.global().async {
                try? self.database.close()
                self.lock.release()
                continuation.resume()
            }
        }
    }

    // MARK: Opening

    private static func inspect(at path: String) throws -> StoreFileKind {
        let header = try StoreFileKind(ofFileAt: path)
        switch header {
        case .own: break
        case .notADatabase:
            throw AMQPError.storeUnusable(path, "is not a durable broker's file: give the broker another path.")
        case .otherDatabase:
            throw AMQPError.storeUnusable(path, "is a database of another program: give the broker another path.")
        case .missing, .empty:
            // SQLite would take such a log for that of the new file.
            guard !FileManager.default.fileExists(atPath: path + "-wal") else {
                throw AMQPError.storeUnusable(
                    path,
                    """
                    is gone, but its log '\(path)-wal' still exists: put the file back, or move the log away to start with a \
                    new file.
                    """
                )
            }
        }
        return header
    }

    /// Creates the file under another name first, so that it exists completely or not at all.
    private static func make(_ path: String) throws {
        let new = path + ".new"
        for name in [new, new + "-journal"] where FileManager.default.fileExists(atPath: name) {
            try FileManager.default.removeItem(atPath: name)
        }
        let database = try DatabaseQueue(path: new)
        try database.writeWithoutTransaction { database in
            try database.execute(sql: "PRAGMA synchronous = FULL; PRAGMA auto_vacuum = INCREMENTAL")
            try database.inTransaction(.exclusive) {
                try database.execute(sql: "PRAGMA application_id = \(StoreSchema.applicationID)")
                try StoreSchema.upgrade(database, from: 0)
                return .commit
            }
        }
        try database.close()
        if FileManager.default.fileExists(atPath: path) { try FileManager.default.removeItem(atPath: path) }
        try FileManager.default.moveItem(atPath: new, toPath: path)
    }

    /// Checks that the file is intact and of a version that this program knows, and upgrades it if it is older.
    private static func check(_ database: Database, _ path: String) throws {
        let version = try Int.fetchOne(database, sql: "PRAGMA user_version") ?? 0
        guard version <= StoreSchema.version else {
            throw AMQPError.storeUnusable(
                path,
                """
                has version \(version), and this program knows versions up to \(StoreSchema.version): a newer program wrote \
                it. Update this program.
                """
            )
        }
        let fault = try String.fetchOne(database, sql: "PRAGMA quick_check(1)")
        guard fault == "ok" else {
            throw AMQPError.storeUnusable(path, "is corrupt (\(fault ?? "no answer")). \(recoveryAdvice)")
        }
        guard version < StoreSchema.version else { return }
        try database.inTransaction(.immediate) {
            try StoreSchema.upgrade(database, from: version)
            return .commit
        }
    }

    private static func configuration(_ settings: StoreSettings) -> Configuration {
        var configuration = Configuration()
        configuration.label = "warren.store"
        configuration.foreignKeysEnabled = false
        configuration.busyMode = .timeout(1)
        configuration.prepareDatabase { database in
            // FULL: a NORMAL commit stays in the system's cache until the next checkpoint, and a power failure would
            // undo it. EXCLUSIVE, before the first use of the log: nobody else can write, and the log's index needs no
            // shared memory. The two fullfsync pragmas matter where `fsync` leaves data in the drive's cache (macOS).
            try database.execute(
                sql: """
                    PRAGMA locking_mode = EXCLUSIVE;
                    PRAGMA journal_mode = WAL;
                    PRAGMA synchronous = FULL;
                    PRAGMA fullfsync = ON;
                    PRAGMA checkpoint_fullfsync = ON;
                    PRAGMA wal_autocheckpoint = \(settings.checkpointPages);
                    PRAGMA journal_size_limit = 67108864;
                    PRAGMA cache_size = -16384;
                    """
            )
            if let limit = settings.maximumPages { try database.execute(sql: "PRAGMA max_page_count = \(limit)") }
        }
        return configuration
    }
}

/// The kind of a file, by its first bytes, determined before SQLite opens it: SQLite changes even a file that it only
/// reads.
enum StoreFileKind: Equatable {
    case missing
    case empty
    case own
    /// A database of another program.
    case otherDatabase
    case notADatabase

    /// Determines the kind of a file.
    ///
    /// Source of the layout: <https://www.sqlite.org/fileformat.html#the_database_header>.
    init(ofFileAt path: String) throws {
        guard FileManager.default.fileExists(atPath: path) else {
            self = .missing
            return
        }
        let bytes = try Data(contentsOf: URL(filePath: path), options: .alwaysMapped).prefix(100)
        if bytes.isEmpty {
            self = .empty
        } else if bytes.count < 100 || !bytes.starts(with: "SQLite format 3\0".utf8) {
            self = .notADatabase
        } else {
            let id = bytes.dropFirst(68).prefix(4).reduce(0) { $0 << 8 | Int32($1) }
            self = id == StoreSchema.applicationID ? .own : .otherDatabase
        }
    }
}

/// Settings of the file; values other than the defaults are for tests.
package struct StoreSettings: Sendable {
    /// The number of pages, of 4,096 bytes each, after which the log is emptied into the file.
    package var checkpointPages = 4_000
    /// The most pages that the file may have; `nil` for as many as fit on the disk.
    package var maximumPages: Int?

    /// The defaults, which programs use.
    package init() {}
}
