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

/// The right of one owner to a spool or a store: the system's lock on a file beside it, which ends with the process, however that ends.
///
/// It is not on the file itself: a spool is replaced by another of its name when it is compacted, and SQLite's own lock doesn't say who
/// holds it. The file of the lock is never deleted: else two processes could each hold the lock on one of that name.
package final class FileLock: Sendable {
    /// Another owner has the lock, in this process or in another.
    package struct Taken: Error {
        /// The process, as it wrote it into the file; empty if it didn't.
        package var owner: String
    }

    private let file: Mutex<FileDescriptor?>

    /// Takes the lock.
    ///
    /// - Throws: ``Taken``, and what the system says.
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
            // For people and for the message to a second owner; the lock doesn't need it.
            try file.resize(to: 0)
            _ = try? file.writeAll(toAbsoluteOffset: 0, "\(ProcessInfo.processInfo.processIdentifier)\n".utf8)
        } catch {
            try? file.close()
            throw error
        }
        self.file = Mutex(file)
    }

    deinit { release() }

    /// Gives the right up; the next may take it at once.
    package func release() {
        file.withLock { held in
            guard let file = held else { return }
            // Closing alone leaves it with a child that was forked in this moment, until that one runs its program.
            _ = flock(file.rawValue, LOCK_UN)
            try? file.close()
            held = nil
        }
    }
}
