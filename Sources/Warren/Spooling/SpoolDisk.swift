import FileLock
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
#if canImport(Darwin)
import Darwin
#elseif canImport(Musl)
import Musl
#else
import Glibc
#endif

/// The disk as a spool needs it: one file that is written at its end, and the files beside it.
///
/// Its functions block, and are called from one thread at a time.
protocol SpoolStorage: Sendable {
    /// The whole file; empty if there is none yet.
    func load() throws -> [UInt8]
    /// Part of the file.
    func read(_ range: Range<Int>) throws -> [UInt8]
    /// Writes at an offset; after an error any part of the bytes may be written.
    func write(_ bytes: [UInt8], at offset: Int) throws
    /// Returns when all writes are durable.
    func synchronize() throws
    /// Cuts the file to a length.
    func truncate(to length: Int) throws
    /// Replaces the file by a new one, so that after a crash there is one or the other.
    ///
    /// - Parameters:
    ///   - bytes: The content of the new file.
    ///   - quarantineName: The new name of the old file; `nil` to delete it.
    func replace(with bytes: [UInt8], keepingOldAs quarantineName: String?) throws
    /// Appends a line to the file of rejected jobs, and returns when it is durable.
    ///
    /// - Throws: `noRoom` if it would be longer than `limit`.
    func appendRejected(_ line: [UInt8], limit: Int) throws
    /// Closes the file and unlocks it for other processes.
    func close()
}

/// A file of the spool has reached its limit.
struct SpoolRoomExceeded: Error, CustomStringConvertible {
    var description: String
}

/// A spool's files on the disk: the log itself and, beside it, `.lock`, `.new`, `.rejected` and quarantined files.
///
/// A new log is written as `.new`; then the old one is removed, and then `.new` is renamed. So a `.new` counts only if
/// there is no log.
final class SpoolDisk: SpoolStorage {
    private let path: String
    private let lock: FileLock
    private let state = Mutex(State())

    private struct State: Sendable {
        /// `nil` before the first use, and while the log still has the name `.new`.
        var log: FileDescriptor?
        var isClosed = false

        mutating func close() {
            try? log?.close()
            log = nil
        }
    }

    private var new: String { path + ".new" }

    /// Locks the files at a path, so that no other process uses them.
    ///
    /// - Throws: `FileLock.Taken`, and the system's errors.
    init(at path: String) throws {
        self.path = path
        lock = try FileLock(at: path + ".lock")
    }

    deinit { close() }

    func load() throws -> [UInt8] {
        if !exists(path), !exists(new) { return [] }
        let file = try file()
        // Beside a log, a `.new` is old or unfinished.
        if exists(new) { try FileManager.default.removeItem(atPath: new) }
        return try contents(0..<Int(file.seek(offset: 0, from: .end)))
    }

    func read(_ range: Range<Int>) throws -> [UInt8] {
        _ = try file()
        return try contents(range)
    }

    /// Maps the file: the one way to read part of it that needs neither raw pointers nor full Foundation.
    private func contents(_ range: Range<Int>) throws -> [UInt8] {
        guard !range.isEmpty else { return [] }
        let data = try Data(contentsOf: URL(filePath: path), options: .alwaysMapped)
        guard data.count >= range.upperBound else { throw Errno.ioError }
        return [UInt8](data[range])
    }

    func write(_ bytes: [UInt8], at offset: Int) throws {
        try file().writeAll(toAbsoluteOffset: Int64(offset), bytes)
    }

    func synchronize() throws { try Self.synchronize(file()) }

    func truncate(to length: Int) throws { try file().resize(to: Int64(length)) }

    func replace(with bytes: [UInt8], keepingOldAs quarantineName: String?) throws {
        let file = try FileDescriptor.open(
            FilePath(new),
            .writeOnly,
            options: [.create, .truncate, .closeOnExec],
            permissions: .ownerReadWrite
        )
        try file.closeAfter {
            try file.writeAll(toAbsoluteOffset: 0, bytes)
            try Self.synchronize(file)
        }
        synchronizeFolder()
        if exists(path) {
            if let quarantineName {
                try FileManager.default.moveItem(atPath: path, toPath: quarantineName)
            } else {
                try FileManager.default.removeItem(atPath: path)
            }
        }
        // From here on the new file is the log, whatever its name: if renaming it fails, the next use tries again.
        state.withLock { $0.close() }
        _ = try? self.file()
    }

    func appendRejected(_ line: [UInt8], limit: Int) throws {
        let name = path + ".rejected"
        let file = try FileDescriptor.open(
            FilePath(name),
            .writeOnly,
            options: [.create, .append, .closeOnExec],
            permissions: .ownerReadWrite
        )
        try file.closeAfter {
            let length = try Int(file.seek(offset: 0, from: .end))
            // The line end comes first, so that a line that a crash cut short doesn't run into the next.
            let line = (length > 0 ? [UInt8(ascii: "\n")] : []) + line
            guard length + line.count <= limit else {
                throw SpoolRoomExceeded(
                    description: "The file '\(name)' has reached the spool's limit of \(limit) bytes."
                )
            }
            try file.writeAll(line)
            try Self.synchronize(file)
        }
        if exists(name) { synchronizeFolder() }
    }

    func close() {
        state.withLock { state in
            state.close()
            state.isClosed = true
        }
        lock.release()
    }

    private func file() throws -> FileDescriptor {
        try state.withLock { state in
            if let log = state.log { return log }
            guard !state.isClosed else { throw Errno.badFileDescriptor }
            if !exists(path), exists(new) {
                try FileManager.default.moveItem(atPath: new, toPath: path)
                synchronizeFolder()
            }
            let file = try FileDescriptor.open(FilePath(path), .readWrite, options: .closeOnExec)
            state.log = file
            return file
        }
    }

    private func exists(_ path: String) -> Bool { FileManager.default.fileExists(atPath: path) }

    /// Makes names durable, on file systems that can synchronize a folder.
    private func synchronizeFolder() {
        let folder = FilePath(path).removingLastComponent()
        let name = folder.isEmpty ? FilePath(".") : folder
        guard let file = try? FileDescriptor.open(name, .readOnly, options: .closeOnExec) else { return }
        try? file.closeAfter { try Self.synchronize(file) }
    }

    private static func synchronize(_ file: FileDescriptor) throws {
        #if canImport(Darwin)
        // On Darwin `fsync` leaves the data in the drive's cache.
        if fcntl(file.rawValue, F_FULLFSYNC) == 0 { return }
        #endif
        while fsync(file.rawValue) != 0 {
            let error = Errno(rawValue: errno)
            guard error == .interrupted else { throw error }
        }
    }
}
