public import AMQP
import FileLock
import GRDB

#if canImport(FoundationEssentials)
import FoundationEssentials
#else
import Foundation
#endif

extension AMQPError.Code {
    /// A durable broker could not write to its file. The message or declaration is in memory and may still be stored later.
    public static let notPersisted = AMQPError.Code("notPersisted", retriable: true, outcomeIsKnown: false)
    /// A durable broker's file can't be opened: it belongs to another program, is broken, is of a later version, or can't be reached.
    public static let storeUnusable = AMQPError.Code("storeUnusable")
}

extension AMQPError {
    /// A write failed.
    static func notPersisted(_ path: String, _ error: any Error) -> AMQPError {
        AMQPError(
            .notPersisted,
            """
            The durable broker could not write to its file '\(path)': \(describe(error)). It takes no publishes until it can, and tries every \
            second; what was confirmed before is safe. This message or declaration is in memory, and is kept if the disk recovers \
            before the process ends.
            """,
            underlying: error
        )
    }

    static func storeTimedOut(_ path: String, _ trouble: AMQPError?) -> AMQPError {
        let cause = trouble.map { ": \($0.message)" } ?? ". The disk is slow or hangs."
        return AMQPError(
            .confirmTimedOut,
            "The durable broker's file '\(path)' did not have the message by the deadline\(cause)",
            underlying: trouble
        )
    }

    static func storeCancelled(_ path: String) -> AMQPError {
        AMQPError(
            .cancelled,
            "The task was cancelled while the durable broker wrote to its file '\(path)'. What it asked for may be kept."
        )
    }

    static func storeClosed(_ path: String) -> AMQPError {
        AMQPError(
            .connectionClosed,
            "The durable broker of the file '\(path)' was closed by this program: open it again. Nothing was kept."
        )
    }

    /// Another process, or another broker of this one, has the file.
    static func storeTaken(_ path: String, by owner: String) -> AMQPError {
        let own = "\(ProcessInfo.processInfo.processIdentifier)"
        let who =
            owner == own
            ? "another broker of this process"
            : owner.isEmpty ? "another process, whose id isn't known" : "the process \(owner)"
        return AMQPError(
            .resourceLocked,
            """
            The file '\(path)' is in use by \(who), and a durable broker has its file to itself: end that one, use another file, or let \
            both use one RabbitMQ.
            """
        )
    }

    /// The file isn't one of ours, is broken or of a later version.
    static func storeUnusable(_ path: String, _ what: String, _ error: (any Error)? = nil) -> AMQPError {
        AMQPError(.storeUnusable, "The file '\(path)' \(what) Nothing in it was changed.", underlying: error)
    }

    /// The file can't be opened, or made.
    static func storeNotOpened(_ path: String, _ error: any Error) -> AMQPError {
        if let error = error as? AMQPError { return error }
        if let taken = error as? FileLock.Taken { return storeTaken(path, by: taken.owner) }
        guard let error = error as? DatabaseError else {
            return AMQPError(
                .storeUnusable,
                """
                The file '\(path)' can't be opened or made: \(describe(error)). Its folder must exist, and this process must be allowed to \
                write there.
                """,
                underlying: error
            )
        }
        switch error.resultCode {
        case .SQLITE_BUSY, .SQLITE_LOCKED: return storeTaken(path, by: "")
        case .SQLITE_CORRUPT, .SQLITE_NOTADB:
            return storeUnusable(path, "is broken: \(describe(error)). \(StoreFile.recoveryAdvice)", error)
        default:
            return AMQPError(
                .storeUnusable,
                "The file '\(path)' can't be opened or made: \(describe(error)). Look at its disk and at who may write there.",
                underlying: error
            )
        }
    }

    /// What went wrong, without the statement: that is of no use to those who read it.
    private static func describe(_ error: any Error) -> String {
        switch error {
        case let error as DatabaseError:
            "\(error.message ?? "no reason given") (SQLite \(error.extendedResultCode.rawValue))"
        case let error as AMQPError: error.message
        default: "\(error)"
        }
    }
}
