import AMQP
import FileLock
import Logging

/// What a spool says: to its callers in errors, to its operators in logs.
extension Spool {
    static func full(_ entry: SpoolEntry, _ path: String, _ limit: Int, _ cause: AMQPError?) -> WarrenError {
        WarrenError(
            .spoolFull,
            """
            \(entry.description) was neither enqueued nor spooled: the broker takes no jobs now, and the spool '\(path)' is at its \
            limit of \(limit) bytes. Try again when the broker is back, or give the spool more room
            """,
            underlying: cause
        )
    }

    static func cannotWrite(_ entry: SpoolEntry, _ path: String, _ error: any Error, _ cause: AMQPError?) -> WarrenError
    {
        WarrenError(
            .spoolFailed,
            """
            \(entry.description) was neither enqueued nor spooled: the broker takes no jobs now, and the spool '\(path)' could not be \
            written (\(error)). Make room on its disk, or see what is wrong with it
            """,
            underlying: cause
        )
    }

    static func timedOut(_ entry: SpoolEntry, _ path: String, _ cause: AMQPError?) -> WarrenError {
        WarrenError(
            .spoolTimedOut,
            """
            \(entry.description) may or may not be in the spool '\(path)': its disk did not answer before the deadline. \
            Enqueueing it again, with its id, can make a duplicate
            """,
            underlying: cause
        )
    }

    static func cannotOpen(_ path: String, _ error: any Error) -> WarrenError {
        let reason =
            switch error {
            case let error as FileLock.Taken:
                "another process\(error.owner.isEmpty ? "" : " (\(error.owner))") uses it. Give each process a file of its own."
            case let error as SpoolFormat.NotASpool:
                "\(error.reason). The file was left as it is; give the spool another path."
            default: "\(error). See whether the folder exists and this process may write there."
            }
        return WarrenError(.spoolFailed, "The spool '\(path)' can't be used: \(reason)")
    }

    static func cannotMoveRejected(_ path: String, _ error: any Error) -> WarrenError {
        WarrenError(
            .spoolFailed,
            """
            A job that the broker refuses could not be moved to '\(path).rejected' (\(error)); until it can, the replay of the spool \
            waits. Move that file elsewhere, or make room on its disk.
            """
        )
    }

    func logRecovery(_ recovery: SpoolLog.Recovery) {
        if recovery.tornBytes > 0 {
            logger.info(
                "Cut off what a crash left of the spool's last write",
                metadata: [LogKey.path: "\(path)", LogKey.bytes: "\(recovery.tornBytes)"]
            )
        }
        if let quarantinedTo = recovery.quarantinedTo {
            logger.warning(
                "The spool was damaged: what is readable will be sent, and the damaged file is kept",
                metadata: [
                    LogKey.path: "\(path)", LogKey.quarantinedTo: "\(quarantinedTo)", LogKey.bytes: "\(recovery.damagedBytes)",
                    LogKey.lost: "at most \(recovery.lostEntries)", LogKey.waiting: "\(recovery.waiting)",
                ]
            )
        }
        if recovery.waiting > 0 {
            logger.info(
                "Jobs wait in the spool",
                metadata: [LogKey.path: "\(path)", LogKey.waiting: "\(recovery.waiting)"]
            )
        }
    }

    func logSpoolingStarted() {
        let cause = lastCause.map { "\($0)" } ?? ""
        logger.warning(
            "The broker takes no jobs now: they go to the spool",
            metadata: [LogKey.path: "\(path)", LogKey.reason: "\(cause)"]
        )
        if !isReplayed {
            logger.warning(
                "Nothing replays the spool: run the client's `replayer`, or call `flushSpool`",
                metadata: [LogKey.path: "\(path)"]
            )
        }
    }

    func logDrained() {
        logger.info("All jobs of the spool are at the broker", metadata: [LogKey.path: "\(path)"])
    }

    func logNotMarked(_ error: any Error) {
        logger.warning(
            "The spool could not note what the broker has: after a crash, it would be sent again",
            metadata: [LogKey.path: "\(path)", LogKey.error: "\(error)"]
        )
    }
}
