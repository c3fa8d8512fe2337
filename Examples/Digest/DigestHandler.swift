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
    /// The least time that a job takes.
    let pace: Duration

    func handle(_ job: DigestFile, context: JobContext) async throws {
        let digest: String
        if pace > .zero { try await Task.sleep(for: pace) }
        do {
            guard context.attempt > job.failures ?? 0 else { throw PlannedFailure(attempt: context.attempt) }
            digest = try await FileDigest.sha256(of: job.path)
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

/// The SHA-256 of a file, computed by the system's own program in a process that ends with the job.
enum FileDigest {
    /// Runs `sha256sum`, or `shasum -a 256`, with the file as its input.
    ///
    /// A cancelled job ends the program.
    ///
    /// - Throws: A permanent ``JobFailure`` if the file is gone or may not be read.
    static func sha256(of path: FilePath) async throws -> String {
        let file: FileHandle
        do {
            file = try FileHandle(forReadingFrom: URL(fileURLWithPath: path.description, isDirectory: false))
        } catch let error as CocoaError where isFinal(error) {
            throw JobFailure.permanent(
                "The file \(path.description.debugDescription) cannot be opened.",
                underlying: error
            )
        }
        defer { try? file.close() }
        let program = try await ChecksumProgram.installed()
        let run = try await Subprocess.run(
            program.executable,
            arguments: Arguments(program.arguments),
            input: .fileDescriptor(FileDescriptor(rawValue: file.fileDescriptor), closeAfterSpawningProcess: false),
            output: .string(limit: 128),
            error: .string(limit: 4096)
        )
        let digest = run.standardOutput.prefix(64)
        guard run.terminationStatus.isSuccess, digest.count == 64 else {
            throw ChecksumFailed(description: "\(program.executable) failed: \(run.standardError)")
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

/// The program of this system that computes SHA-256.
private struct ChecksumProgram {
    var executable: Executable
    var arguments: [String] = []

    /// `sha256sum` where there is one, and otherwise `shasum`, which comes with Perl.
    static func installed() async throws -> ChecksumProgram {
        if let path = try? await Executable.name("sha256sum").resolveExecutablePath(in: .inherit) {
            return ChecksumProgram(executable: .path(path))
        }
        return ChecksumProgram(executable: .name("shasum"), arguments: ["-a", "256"])
    }
}
