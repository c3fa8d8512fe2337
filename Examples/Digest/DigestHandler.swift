import Foundation
import Subprocess
import Warren

#if canImport(System)
import System
#else
import SystemPackage
#endif

/// Computes a file's SHA-256 and records it; a failed attempt is recorded too.
struct DigestHandler: JobHandler {
    let results: ResultsFile
    let checksum: ChecksumProgram
    /// The least time that a job takes.
    let pace: Duration

    func handle(_ job: DigestFile, context: JobContext) async throws {
        let digest: String
        if pace > .zero { try await Task.sleep(for: pace) }
        do {
            guard context.attempt > job.failures ?? 0 else { throw PlannedFailure(attempt: context.attempt) }
            digest = try await checksum.digest(of: job.path)
        } catch {
            try await results.append(job.path, nil, context)
            throw error
        }
        // Written before the job is acknowledged: a worker that dies in between does the job twice rather than never.
        try await results.append(job.path, digest, context)
    }
}

/// A failure that was asked for when the job was enqueued.
struct PlannedFailure: Error, CustomStringConvertible {
    let attempt: Int
    var description: String { "Attempt \(attempt) fails, as planned." }
}

/// The program of this system that computes SHA-256; it runs in a process for each job.
struct ChecksumProgram {
    private let executable: Executable
    private let arguments: [String]

    /// Finds `sha256sum` or, where that is missing, `shasum`, which comes with Perl.
    ///
    /// A worker does so once: the search costs more than a digest.
    static func installed() async throws -> ChecksumProgram {
        if let path = try? await Executable.name("sha256sum").resolveExecutablePath(in: .inherit) {
            return ChecksumProgram(executable: .path(path), arguments: [])
        }
        let path = try await Executable.name("shasum").resolveExecutablePath(in: .inherit)
        return ChecksumProgram(executable: .path(path), arguments: ["-a", "256"])
    }

    /// Runs the program with the file as its input; cancellation ends it.
    ///
    /// - Returns: The SHA-256 in hexadecimal digits.
    /// - Throws: A permanent ``JobFailure`` if the file is gone or may not be read.
    func digest(of path: FilePath) async throws -> String {
        let file: FileHandle
        do {
            file = try FileHandle(forReadingFrom: URL(fileURLWithPath: path.description, isDirectory: false))
        } catch let error as CocoaError where Self.isFinal(error) {
            throw JobFailure.permanent(
                "The file \(path.description.debugDescription) cannot be opened.",
                underlying: error
            )
        }
        defer { try? file.close() }
        let run = try await Subprocess.run(
            executable,
            arguments: Arguments(arguments),
            input: .fileDescriptor(FileDescriptor(rawValue: file.fileDescriptor), closeAfterSpawningProcess: false),
            output: .string(limit: 128),
            error: .string(limit: 4096)
        )
        let digest = run.standardOutput.prefix(64)
        guard run.terminationStatus.isSuccess, digest.count == 64 else {
            throw ChecksumFailed(description: "\(executable) failed: \(run.standardError)")
        }
        return String(digest)
    }

    private static func isFinal(_ error: CocoaError) -> Bool {
        [.fileReadNoSuchFile, .fileNoSuchFile, .fileReadNoPermission].contains(error.code)
    }

    private struct ChecksumFailed: Error, CustomStringConvertible {
        let description: String
    }
}
