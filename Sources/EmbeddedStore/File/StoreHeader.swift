#if canImport(FoundationEssentials)
import FoundationEssentials
#else
import Foundation
#endif

/// What a file is, by its first bytes: looked at before SQLite is let near it, which changes even a file that it only reads.
enum StoreHeader: Equatable {
    case missing
    case empty
    case own
    /// A database of another program.
    case otherDatabase
    case noDatabase

    /// Looks at a file.
    ///
    /// Source of the layout: <https://www.sqlite.org/fileformat.html#the_database_header>.
    init(ofFileAt path: String) throws {
        guard FileManager.default.fileExists(atPath: path) else {
            self = .missing
            return
        }
        let bytes = try Data(contentsOf: URL(filePath: path), options: .alwaysMapped).prefix(100)
        if bytes.isEmpty {
            self = .empty
        } else if bytes.count < 100 || !bytes.starts(with: "SQLite format 3\0".utf8) {
            self = .noDatabase
        } else {
            let id = bytes.dropFirst(68).prefix(4).reduce(0) { $0 << 8 | Int32($1) }
            self = id == StoreSchema.applicationID ? .own : .otherDatabase
        }
    }
}
