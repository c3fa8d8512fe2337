public import AMQP
import FileLock
import GRDB

#if canImport(FoundationEssentials)
import FoundationEssentials
#else
import Foundation
#endif

extension AMQPError.Code {
    /// A durable broker could not write to its file.
    ///
    /// The message or declaration is in memory and may still be stored later.
    public static let notPersisted = AMQPError.Code("notPersisted", retriable: true, outcomeIsKnown: false)
    /// A durable broker's file can't be opened: it belongs to another program, is corrupt, has a newer version, or
    /// can't be reached.
    public static let storeUnusable = AMQPError.Code("storeUnusable")
}

extension AMQPError {
    /// A write failed.
    static func notPersisted(_ path: String, _ error: any Error) -> AMQPError {
        AMQPError(
            .notPersisted,
            """
            The durable broker could not write to its file '\(path)': \(describe(error)). It blocks publishes until it \
            can, and retries every second; everything confirmed before is safe. This message or declaration is in \
            memory, and is persisted if the disk recovers before the process ends.
            """,
            underlying: error
        )
    }

    /// A write did not finish by the caller's deadline.
    static func storeTimedOut(_ path: String, _ failure: AMQPError?) -> AMQPError {
        let cause = failure.map { ": \($0.message)" } ?? ". The disk is slow or hangs."
        return AMQPError(
            .confirmTimedOut,
            "The durable broker did not persist the message in its file '\(path)' by the deadline\(cause)",
            underlying: failure
        )
    }

    /// The caller's task was cancelled during the write.
    static func storeCancelled(_ path: String) -> AMQPError {
        AMQPError.cancelled(
            "Cancelled while the durable broker wrote to its file '\(path)'. The change may have been persisted."
        )
    }

    /// The broker is closed.
    static func storeClosed(_ path: String) -> AMQPError {
        AMQPError(
            .closed,
            "This program closed the durable broker of the file '\(path)': open it again. Nothing was persisted."
        )
    }

    /// Another process, or another broker in this one, uses the file.
    static func storeTaken(_ path: String, by owner: String) -> AMQPError {
        let own = "\(ProcessInfo.processInfo.processIdentifier)"
        let who =
            owner == own
            ? "another broker of this process"
            : owner.isEmpty ? "another process, whose id is unknown" : "the process \(owner)"
        return AMQPError(
            .resourceLocked,
            """
            The file '\(path)' is in use by \(who), and only one durable broker can use a file: stop the other one, use \
            another file, or let both use RabbitMQ.
            """
        )
    }

    /// The file isn't a durable broker's, is corrupt, or has a newer version.
    static func storeUnusable(_ path: String, _ fault: String, _ error: (any Error)? = nil) -> AMQPError {
        AMQPError(.storeUnusable, "The file '\(path)' \(fault) It was not changed.", underlying: error)
    }

    /// The file can't be opened or created.
    static func storeNotOpened(_ path: String, _ error: any Error) -> AMQPError {
        if let error = error as? AMQPError { return error }
        if let taken = error as? FileLock.Taken { return storeTaken(path, by: taken.owner) }
        guard let error = error as? DatabaseError else {
            return AMQPError(
                .storeUnusable,
                """
                The file '\(path)' can't be opened or created: \(describe(error)). Its folder must exist, and this \
                process must be allowed to write there.
                """,
                underlying: error
            )
        }
        switch error.resultCode {
        case .SQLITE_BUSY, .SQLITE_LOCKED: return storeTaken(path, by: "")
        case .SQLITE_CORRUPT, .SQLITE_NOTADB:
            return storeUnusable(path, "is corrupt: \(describe(error)). \(StoreFile.recoveryAdvice)", error)
        default:
            return AMQPError(
                .storeUnusable,
                "The file '\(path)' can't be opened or created: \(describe(error)). Check its disk and permissions.",
                underlying: error
            )
        }
    }

    /// The error's message, without the SQL statement, which is of no use to its readers.
    private static func describe(_ error: any Error) -> String {
        switch error {
        case let error as DatabaseError:
            "\(error.message ?? "no reason given") (SQLite \(error.extendedResultCode.rawValue))"
        case let error as AMQPError: error.message
        default: "\(error)"
        }
    }
}
