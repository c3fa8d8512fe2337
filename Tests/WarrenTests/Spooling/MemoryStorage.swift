import Synchronization

@testable import Warren

/// A disk in memory that fails and loses writes as a test wants it.
final class MemoryStorage: SpoolStorage {
    struct Files: Sendable {
        /// The written bytes.
        var log: [UInt8] = []
        /// The bytes that a loss of power would leave.
        var durable: [UInt8] = []
        /// The range of the last write, if nothing was synchronized since.
        var lastWrite: Range<Int>?
        var quarantined: [String: [UInt8]] = [:]
        var rejected: [[UInt8]] = []
        /// The number of bytes for which the disk has room; `nil` for no limit.
        var room: Int?
        var synchronizations = 0
        var replacements = 0
    }

    struct DiskFull: Error {}

    private let files: Mutex<Files>

    init(_ log: [UInt8] = []) {
        files = Mutex(Files(log: log, durable: log))
    }

    var now: Files { files.withLock { $0 } }
    func setRoom(_ room: Int?) { files.withLock { $0.room = room } }

    func load() throws -> [UInt8] { now.log }

    func read(_ range: Range<Int>) throws -> [UInt8] { files.withLock { Array($0.log[range]) } }

    func write(_ bytes: [UInt8], at offset: Int) throws {
        try files.withLock { files in
            let fitting = bytes.prefix(files.room ?? .max)
            if let room = files.room { files.room = room - fitting.count }
            if files.log.count < offset {
                files.log += [UInt8](repeating: 0, count: offset - files.log.count)
            }
            files.log.replaceSubrange(offset..<min(files.log.count, offset + fitting.count), with: fitting)
            files.lastWrite = offset..<offset + fitting.count
            if fitting.count < bytes.count { throw DiskFull() }
        }
    }

    func synchronize() throws {
        files.withLock { files in
            files.durable = files.log
            files.lastWrite = nil
            files.synchronizations += 1
        }
    }

    func truncate(to length: Int) throws {
        files.withLock { files in
            let log = files.log
            files.log = Array(log.prefix(length)) + [UInt8](repeating: 0, count: max(0, length - log.count))
        }
    }

    func replace(with bytes: [UInt8], keepingOldAs quarantineName: String?) throws {
        try files.withLock { files in
            if let room = files.room, bytes.count > room { throw DiskFull() }
            if let quarantineName { files.quarantined[quarantineName] = files.log }
            files.log = bytes
            files.durable = bytes
            files.lastWrite = nil
            files.replacements += 1
        }
    }

    func appendRejected(_ line: [UInt8], limit: Int) throws {
        files.withLock { $0.rejected.append(line) }
    }

    func close() {}
}
