import Crypto
import Foundation
import Warren

/// The SHA-256 of a file.
enum FileDigest {
    private static let chunkSize = 256 * 1024

    /// Reads the file piece by piece, however large it is, and lets other jobs go on in between.
    ///
    /// - Throws: ``JobFailure`` that says not to try again if the file is gone or may not be read.
    static func sha256(of path: FilePath) async throws -> String {
        let file: FileHandle
        do {
            file = try FileHandle(forReadingFrom: URL(fileURLWithPath: path.description, isDirectory: false))
        } catch let error as CocoaError where isFinal(error) {
            throw JobFailure.permanent(
                "The file \(path.description.debugDescription) can't be opened.",
                underlying: error
            )
        }
        defer { try? file.close() }
        var hash = SHA256()
        while let chunk = try file.read(upToCount: chunkSize), !chunk.isEmpty {
            hash.update(data: chunk)
            try Task.checkCancellation()
            await Task.yield()
        }
        return hash.finalize().map { byte in
            let digits = String(byte, radix: 16)
            return byte < 16 ? "0" + digits : digits
        }.joined()
    }

    private static func isFinal(_ error: CocoaError) -> Bool {
        [.fileReadNoSuchFile, .fileNoSuchFile, .fileReadNoPermission].contains(error.code)
    }
}
