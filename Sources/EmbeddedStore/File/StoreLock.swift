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

/// The right of one broker to a file: the system's lock on another one beside it, which ends with the process, however that ends.
///
/// SQLite's own lock would keep others away as well, but not say who holds it. The file of the lock is never deleted: else two processes
/// could each hold the lock on one of that name.
final class StoreLock: Sendable {
    /// Another broker has the lock.
    struct Taken: Error {
        /// The process, as it wrote it into the file; empty if it didn't.
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
            while flock(file.rawValue, LOCK_EX | LOCK_NB) != 0 {
                let error = Errno(rawValue: errno)
                if error == .interrupted { continue }
                guard error == .wouldBlock else { throw error }
                let owner = (try? String(contentsOfFile: path, encoding: .utf8)) ?? ""
                throw Taken(owner: owner.split(separator: "\n").first.map(String.init) ?? "")
            }
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
        file.withLock { held in
            guard let file = held else { return }
            // Closing alone leaves it with a child that was forked in this moment, until that one runs its program.
            _ = flock(file.rawValue, LOCK_UN)
            try? file.close()
            held = nil
        }
    }
}
