import Foundation

/// A file to which lines are appended, each handed to the operating system before the call returns.
///
/// So a line survives this process, though not the machine.
struct LineFile {
    private let handle: FileHandle

    /// Opens a file for appending, and makes it if it doesn't exist.
    ///
    /// The piece of a line that a killed process may have left at the end gets an end of its own.
    init(path: String) throws {
        if !FileManager.default.fileExists(atPath: path) {
            try Data().write(to: URL(fileURLWithPath: path))
        }
        handle = try FileHandle(forUpdating: URL(fileURLWithPath: path))
        let end = try handle.seekToEnd()
        guard end > 0 else { return }
        try handle.seek(toOffset: end - 1)
        if try handle.read(upToCount: 1) != Data("\n".utf8) { try handle.write(contentsOf: Data("\n".utf8)) }
    }

    func append(_ value: some Encodable) throws {
        try handle.write(contentsOf: try JSONLines.line(value))
    }
}
