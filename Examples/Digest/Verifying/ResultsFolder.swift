import Foundation

/// The results files of all workers, read again and again while they grow.
struct ResultsFolder {
    private let folder: String
    private var offsets: [String: UInt64] = [:]
    /// The jobs that have succeeded.
    private(set) var jobs: Set<String> = []
    /// All lines so far, those of failed attempts too.
    private(set) var results: [DigestResult] = []

    init(_ folder: String) { self.folder = folder }

    /// Reads the whole lines that were added since the last time.
    ///
    /// A line that can't be read is passed over: a worker that was killed while it wrote can leave a piece of one. Its job was not
    /// acknowledged, so there is another result of it, or it is found to be lost.
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
