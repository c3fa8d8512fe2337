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

/// The disk as a spool sees it: one file that is written at its end, and what lies beside it.
///
/// Its calls block, and come from one thread at a time.
protocol SpoolStorage: Sendable {
    /// The whole file; empty if there is none yet.
    func load() throws -> [UInt8]
    /// Part of the file.
    func read(_ range: Range<Int>) throws -> [UInt8]
    /// Writes at an offset; after an error any part of it may be there.
    func write(_ bytes: [UInt8], at offset: Int) throws
    /// Returns when the disk has what was written.
    func synchronize() throws
    /// Cuts the file.
    func truncate(to length: Int) throws
    /// Puts a new file in the place of the old, so that after a crash there is one or the other.
    ///
    /// - Parameter quarantineName: What to call the old one in future, instead of deleting it.
    func replace(with bytes: [UInt8], keepingOldAs quarantineName: String?) throws
    /// Adds a line to the file of the rejected, and returns when the disk has it.
    ///
    /// - Throws: `noRoom` if it would be longer than `limit`.
    func appendRejected(_ line: [UInt8], limit: Int) throws
    /// Gives the file up for other processes.
    func close()
}

/// A file of the spool's has reached its limit.
struct SpoolRoomExceeded: Error, CustomStringConvertible {
    var description: String
}

/// A spool's files on the disk: the log itself and, beside it, `.lock`, `.new`, `.rejected` and what was set aside.
///
/// A new log is written as `.new`; then the old one is removed, then `.new` gets its name. So a `.new` counts only if there is no log.
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

    /// The files at a path, which no other process uses from now on.
    ///
    /// - Throws: `FileLock.Taken`, and what the system says.
    init(at path: String) throws {
        self.path = path
        lock = try FileLock(at: path + ".lock")
    }

    deinit { close() }

    func load() throws -> [UInt8] {
        if !exists(path), !exists(new) { return [] }
        let file = try file()
        // A log makes an older or unfinished `.new` worthless.
        if exists(new) { try FileManager.default.removeItem(atPath: new) }
        return try contents(0..<Int(file.seek(offset: 0, from: .end)))
    }

    func read(_ range: Range<Int>) throws -> [UInt8] {
        _ = try file()
        return try contents(range)
    }

    /// Mapped, not read: the one way to part of a file that needs neither raw pointers nor full Foundation.
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
        // From here on the new file is the log, whatever its name is: if the last step fails, the next use tries it again.
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
            // A line that a crash cut short ends where the next begins.
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

    /// Makes names durable, on file systems that let a folder be synchronized.
    private func synchronizeFolder() {
        let folder = FilePath(path).removingLastComponent()
        let name = folder.isEmpty ? FilePath(".") : folder
        guard let file = try? FileDescriptor.open(name, .readOnly, options: .closeOnExec) else { return }
        try? file.closeAfter { try Self.synchronize(file) }
    }

    private static func synchronize(_ file: FileDescriptor) throws {
        #if canImport(Darwin)
        // `fsync` leaves the data in the drive's cache there.
        if fcntl(file.rawValue, F_FULLFSYNC) == 0 { return }
        #endif
        while fsync(file.rawValue) != 0 {
            let error = Errno(rawValue: errno)
            guard error == .interrupted else { throw error }
        }
    }
}
