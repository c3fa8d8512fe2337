#if canImport(System)
import System
#else
import SystemPackage
#endif

/// The journal that a worker process writes.
///
/// Each line is handed to the operating system before the call returns, so it survives the process, however that ends.
struct JournalFile: Sendable {
    private let file: FileDescriptor

    init(path: String) throws {
        file = try FileDescriptor.open(
            FilePath(path),
            .writeOnly,
            options: [.append, .create],
            permissions: [.ownerReadWrite]
        )
    }

    func write(_ event: JournalLine.Event, _ id: String) throws {
        try file.writeAll(JournalLine(event: event, time: WallClock.now, id: id).text.utf8)
    }
}
