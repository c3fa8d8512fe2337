import Foundation
import Warren

/// The results of one worker: a file of its own, so that workers needn't share one.
actor ResultsFile {
    private let file: LineFile

    /// Opens `FOLDER/WORKER.jsonl` for appending, and makes the folder if need be.
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
