import AMQP
import FileLock
import Logging

/// The spool's errors and log messages.
extension Spool {
    // MARK: - Errors

    static func full(_ entry: SpoolEntry, _ path: String, _ limit: Int, _ cause: AMQPError?) -> WarrenError {
        WarrenError(
            .spoolFull,
            """
            \(entry) was neither enqueued nor spooled: the broker takes no jobs now, and the spool '\(path)' is at \
            its limit of \(limit) bytes. Try again when the broker is back, or raise the spool's limit.
            """,
            underlying: cause
        )
    }

    static func cannotWrite(_ entry: SpoolEntry, _ path: String, _ error: any Error, _ cause: AMQPError?) -> WarrenError
    {
        WarrenError(
            .spoolFailed,
            """
            \(entry) was neither enqueued nor spooled: the broker takes no jobs now, and the spool '\(path)' could \
            not be written (\(error)). Free space on its disk, or check the disk.
            """,
            underlying: cause
        )
    }

    static func timedOut(_ entry: SpoolEntry, _ path: String, _ cause: AMQPError?) -> WarrenError {
        WarrenError(
            .spoolTimedOut,
            """
            \(entry) may or may not be in the spool '\(path)': the write did not finish before the deadline. \
            Enqueueing it again with the same id may create a duplicate.
            """,
            underlying: cause
        )
    }

    static func cannotOpen(_ path: String, _ error: any Error) -> WarrenError {
        let reason =
            switch error {
            case let error as FileLock.Taken:
                "another process\(error.owner.isEmpty ? "" : " (\(error.owner))") uses it. Give each its own file."
            case let error as SpoolFormat.NotASpool:
                "\(error.reason). The file was left unchanged; use another path for the spool."
            default: "\(error). Check that the folder exists and that this process may write there."
            }
        return WarrenError(.spoolFailed, "The spool '\(path)' can't be used: \(reason)")
    }

    static func cannotMoveRejected(_ path: String, _ error: any Error) -> WarrenError {
        WarrenError(
            .spoolFailed,
            """
            A job that the broker refused could not be moved to '\(path).rejected' (\(error)); until it can, the \
            replay of the spool waits. Move that file elsewhere, or free space on its disk.
            """
        )
    }

    // MARK: - Log messages

    func logRecovery(_ recovery: SpoolLog.Recovery) {
        if recovery.tornBytes > 0 {
            logger.info(
                "Truncated an incomplete record at the end of the spool",
                metadata: [LogKey.path: "\(path)", LogKey.bytes: "\(recovery.tornBytes)"]
            )
        }
        if let quarantinedTo = recovery.quarantinedTo {
            logger.warning(
                "The spool was damaged: its readable jobs will be sent, and the damaged file is kept",
                metadata: [
                    LogKey.path: "\(path)", LogKey.quarantinedTo: "\(quarantinedTo)",
                    LogKey.bytes: "\(recovery.damagedBytes)", LogKey.lost: "at most \(recovery.lostEntries)",
                    LogKey.waiting: "\(recovery.waiting)",
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
            "The broker takes no jobs now; spooling them",
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
            "The spool could not record which jobs the broker has; after a crash they would be sent again",
            metadata: [LogKey.path: "\(path)", LogKey.error: "\(error)"]
        )
    }

    func logRejected(_ payload: [UInt8], _ reason: String) {
        let message = (try? SpoolEntry(decoding: payload))?.message
        logger.warning(
            "The broker refused a spooled job, which was moved to the file of rejected jobs",
            metadata: [
                LogKey.path: "\(path).rejected", LogKey.job: "\((message?.jobName ?? "").truncated(toBytes: 80))",
                LogKey.jobID: "\((message?.jobID ?? "").truncated(toBytes: 80))", LogKey.reason: "\(reason)",
            ]
        )
    }

    func logReplayPaused(_ problem: any Error) {
        logger.warning(
            "Replaying the spool failed; trying again",
            metadata: [LogKey.path: "\(path)", LogKey.reason: "\(problem)"]
        )
    }
}
