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

/// The file of a durable broker: a database of SQLite's, which this broker has to itself.
///
/// Beside it stand, with its name and `.lock`, what keeps others away; with `-wal`, SQLite's log, which belongs to it; and with `.new`, for
/// moments, a file that is being made.
final class StoreFile: Sendable {
    static let recoveryAdvice =
        "Move it away and begin with a new one; `sqlite3 FILE .recover` saves what can be read of it."

    /// Where the file is.
    let path: String
    private let lock: FileLock
    private let database: DatabaseQueue
    /// The numbers that the file has for queues.
    private let queueIDs = Mutex<[String: Int64]>([:])

    /// Opens a file, or makes it.
    ///
    /// - Throws: `AMQPError`: `resourceLocked` if another has it, `storeUnusable`.
    init(at path: String, _ settings: StoreSettings = StoreSettings()) throws {
        self.path = path
        // Before the lock too: beside another program's file nothing is made.
        _ = try Self.inspect(at: path)
        lock = try FileLock(at: path + ".lock")
        if try Self.inspect(at: path) != .own { try Self.make(path) }
        database = try DatabaseQueue(path: path, configuration: Self.configuration(settings))
        try database.writeWithoutTransaction { try Self.check($0, path) }
    }

    /// Works on the file, one after the other, on a thread that may block.
    func perform(_ work: @escaping @Sendable (Database) -> Void) { database.asyncWriteWithoutTransaction(work) }

    /// Brings all changes to the disk, or none; returns how many rows that were.
    func write(_ changes: PendingChanges, to database: Database) throws -> Int {
        do {
            return try writeOnce(changes, to: database)
        } catch let error as DatabaseError where error.resultCode == .SQLITE_FULL {
            // The log may have room in it once it is emptied into the file.
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

    /// What the file has, as the changes that lead there.
    func load() throws -> [BrokerChange] {
        try database.writeWithoutTransaction { database in
            var reader = StoreReader(database, path: path)
            let changes = try reader.read()
            queueIDs.withLock { $0 = reader.queueIDs }
            return changes
        }
    }

    /// Gives the file up for others.
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
            throw AMQPError.storeUnusable(path, "is no file of a durable broker: give the broker another path.")
        case .otherDatabase:
            throw AMQPError.storeUnusable(path, "is a database of another program: give the broker another path.")
        case .missing, .empty:
            // SQLite would take such a log for the new file's.
            guard !FileManager.default.fileExists(atPath: path + "-wal") else {
                throw AMQPError.storeUnusable(
                    path,
                    "is gone, and its log '\(path)-wal' is still there: put the file back, or move the log away to begin anew."
                )
            }
        }
        return header
    }

    /// Makes the file under another name first, so that there is all of it or nothing.
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

    /// Looks whether the file is whole and of a version that this program knows.
    private static func check(_ database: Database, _ path: String) throws {
        let version = try Int.fetchOne(database, sql: "PRAGMA user_version") ?? 0
        guard version <= StoreSchema.version else {
            throw AMQPError.storeUnusable(
                path,
                """
                is of version \(version), and this program knows up to \(StoreSchema.version): a later one wrote it. Update this program.
                """
            )
        }
        let fault = try String.fetchOne(database, sql: "PRAGMA quick_check(1)")
        guard fault == "ok" else {
            throw AMQPError.storeUnusable(path, "is broken (\(fault ?? "no answer")). \(recoveryAdvice)")
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
            // FULL: what NORMAL commits is in the system's cache until the next checkpoint, and a loss of power takes it back.
            // EXCLUSIVE, before the first use of the log: nobody else can write, and its index needs no shared memory.
            // The two of full synchronization matter where `fsync` leaves the data in the drive's cache (macOS).
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

/// What a file is, by its first bytes: looked at before SQLite is let near it, which changes even a file that it only reads.
enum StoreFileKind: Equatable {
    case missing
    case empty
    case own
    /// A database of another program.
    case otherDatabase
    case notADatabase

    /// Looks at a file.
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

/// How the file is used; other values than these are for tests.
package struct StoreSettings: Sendable {
    /// After how many pages of 4,096 bytes the log is emptied into the file.
    package var checkpointPages = 4_000
    /// How many pages the file may have; `nil` for as many as the disk has room for.
    package var maximumPages: Int?

    /// How a program uses it.
    package init() {}
}
