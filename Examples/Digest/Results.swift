import Foundation
import Warren

/// A line of a results file: one execution of a job.
struct DigestResult: Codable, Sendable {
    var path: FilePath
    /// The SHA-256 in hexadecimal digits; `nil` if the attempt failed.
    var digest: String?
    /// The job's id.
    var job: String
    var worker: String
    /// The number of the attempt, from 1.
    var attempt: Int
    /// True if the broker had delivered the job before to a worker that did not settle it.
    var redelivered: Bool
    /// The time of the execution, in seconds since 1970.
    var at: Double
}

/// The results of one worker, in a file that no other worker writes.
actor ResultsFile {
    private let file: LineFile

    /// Opens `FOLDER/WORKER.jsonl` for appending, and creates the folder if it is missing.
    init(folder: String, worker: String) throws {
        try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
        let name = String(worker.map { $0 == "/" ? "-" : $0 })
        file = try LineFile(path: "\(folder)/\(name).jsonl")
    }

    func append(_ path: FilePath, _ digest: String?, _ context: JobContext) throws {
        try file.append(
            DigestResult(
                path: path,
                digest: digest,
                job: context.id,
                worker: context.worker,
                attempt: context.attempt,
                redelivered: context.isRedelivered,
                at: Date().timeIntervalSince1970
            )
        )
    }
}

/// The results files of all workers, read while they grow.
struct ResultsFolder {
    private let folder: String
    private var offsets: [String: UInt64] = [:]
    /// The jobs that have succeeded.
    private(set) var jobs: Set<String> = []
    /// All lines so far, including those of failed attempts.
    private(set) var results: [DigestResult] = []

    init(_ folder: String) { self.folder = folder }

    /// Reads the complete lines added since the last call.
    ///
    /// Skips a line that cannot be decoded: a worker killed while writing can leave a fragment. Its job was not
    /// acknowledged, so either another result of it follows, or it counts as lost.
    mutating func readMore() throws {
        let names = try? FileManager.default.contentsOfDirectory(atPath: folder)
        for name in (names ?? []).sorted() where name.hasSuffix(".jsonl") {
            let file = try FileHandle(forReadingFrom: URL(fileURLWithPath: "\(folder)/\(name)"))
            defer { try? file.close() }
            try file.seek(toOffset: offsets[name, default: 0])
            let data = try file.readToEnd() ?? Data()
            guard let end = data.lastIndex(of: UInt8(ascii: "\n")) else { continue }
            offsets[name, default: 0] += UInt64(data.distance(from: data.startIndex, to: end) + 1)
            for result in JSONLines.readable(DigestResult.self, from: data) {
                if result.digest != nil { jobs.insert(result.job) }
                results.append(result)
            }
        }
    }
}
