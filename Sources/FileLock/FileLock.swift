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

/// Exclusive access to a spool or a store: the system's lock on a file beside it, which ends with the process, however
/// it ends.
///
/// The lock is not on the file itself: compaction replaces a spool by a new file of the same name, and SQLite's own
/// lock doesn't name its holder. The lock file is never deleted, because then two processes could each hold a lock on a
/// file of that name.
package final class FileLock: Sendable {
    /// The error if another owner has the lock, in this process or another one.
    package struct Taken: Error {
        /// The process id that the owner wrote into the file; empty if it wrote none.
        package var owner: String
    }

    private let file: Mutex<FileDescriptor?>

    /// Takes the lock.
    ///
    /// - Parameter path: The lock file's path.
    /// - Throws: ``Taken``, or the system's error.
    package init(at path: String) throws {
        let file = try FileDescriptor.open(
            FilePath(path),
            .readWrite,
            options: [.create, .closeOnExec],
            permissions: .ownerReadWrite
        )
        do {
            while flock(file.rawValue, LOCK_EX | LOCK_NB) != 0 {
                let error = Errno(rawValue: errno)
                if error == .interrupted { continue }
                guard error == .wouldBlock else { throw error }
                let owner = (try? String(contentsOfFile: path, encoding: .utf8)) ?? ""
                throw Taken(owner: owner.split(separator: "\n").first.map(String.init) ?? "")
            }
            // For people, and for the error that a second owner gets; the lock itself doesn't need it.
            try file.resize(to: 0)
            _ = try? file.writeAll(toAbsoluteOffset: 0, "\(ProcessInfo.processInfo.processIdentifier)\n".utf8)
        } catch {
            try? file.close()
            throw error
        }
        self.file = Mutex(file)
    }

    deinit { release() }

    /// Releases the lock; another owner can take it at once.
    package func release() {
        file.withLock { held in
            guard let file = held else { return }
            // Closing alone would leave the lock with a child process forked at this moment, until it executes its
            // program.
            _ = flock(file.rawValue, LOCK_UN)
            try? file.close()
            held = nil
        }
    }
}
