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

/// The right of one process to a spool: the system's lock on a file beside it, which ends with the process, however that ends.
///
/// The lock is not on the log itself, because compacting puts another file in its place. The file of the lock is never deleted: else
/// two processes could each hold the lock on one of that name.
final class SpoolLock: Sendable {
    /// Another has the lock.
    struct Taken: Error {
        /// The process, as it wrote it into the file.
        var owner: String
    }

    private let file: Mutex<FileDescriptor?>

    /// Takes the lock.
    ///
    /// - Throws: ``Taken``, and what the system says.
    init(at path: String) throws {
        let file = try FileDescriptor.open(
            FilePath(path),
            .readWrite,
            options: [.create, .closeOnExec],
            permissions: .ownerReadWrite
        )
        do {
            if flock(file.rawValue, LOCK_EX | LOCK_NB) != 0 {
                let error = Errno(rawValue: errno)
                guard error == .wouldBlock else { throw error }
                let owner = (try? String(contentsOfFile: path, encoding: .utf8)) ?? ""
                throw Taken(owner: owner.split(separator: "\n").first.map(String.init) ?? "")
            }
            // For people and for the message to a second process; the lock doesn't need it.
            try file.resize(to: 0)
            _ = try? file.writeAll(toAbsoluteOffset: 0, "\(ProcessInfo.processInfo.processIdentifier)\n".utf8)
        } catch {
            try? file.close()
            throw error
        }
        self.file = Mutex(file)
    }

    deinit { release() }

    func release() {
        file.withLock { file in
            try? file?.close()
            file = nil
        }
    }
}
