import Foundation

/// The regular files below a folder, and those that had to be left out.
struct FolderWalk {
    /// A reason to leave out a file or folder.
    enum Problem: String, CaseIterable {
        /// Foundation and JSON represent names as text.
        case nameIsNoText = "the name is not UTF-8"
        case unreadable = "not readable"
        case vanished = "deleted during the walk"
    }

    /// The folder's absolute path, without symbolic links.
    let root: String
    private(set) var files: [FilePath] = []
    private(set) var problems: [(path: FilePath, problem: Problem)] = []

    private let manager = FileManager.default

    /// Walks through a folder; the files come in the order of their paths.
    ///
    /// Symbolic links are not followed, but `folder` itself may be one. Sockets, pipes and devices are left out:
    /// reading one might never end.
    ///
    /// - Throws: If the folder itself cannot be read.
    init(_ folder: String) throws {
        root = URL(fileURLWithPath: folder).resolvingSymlinksInPath().path
        var folders = [root]
        _ = try manager.contentsOfDirectory(atPath: root)
        while let folder = folders.popLast() { visit(folder, &folders) }
        files.sort()
    }

    private mutating func visit(_ folder: String, _ folders: inout [String]) {
        let names: [String]
        do {
            names = try manager.contentsOfDirectory(atPath: folder)
        } catch {
            return note(folder, error)
        }
        for name in names {
            let path = folder == "/" ? "/" + name : folder + "/" + name
            do {
                // The link's own attributes, not those of what it leads to.
                switch try manager.attributesOfItem(atPath: path)[.type] as? FileAttributeType {
                case .typeDirectory: folders.append(path)
                case .typeRegular:
                    if manager.isReadableFile(atPath: path) {
                        files.append(FilePath(path))
                    } else {
                        problems.append((FilePath(path), .unreadable))
                    }
                default: break
                }
            } catch {
                note(path, error)
            }
        }
    }

    private mutating func note(_ path: String, _ error: any Error) {
        let isMissing =
            (error as? CocoaError).map { $0.code == .fileReadNoSuchFile || $0.code == .fileNoSuchFile } ?? false
        // Foundation replaced invalid bytes by this character, and no file of such a name exists.
        let problem: Problem = !isMissing ? .unreadable : path.contains("\u{FFFD}") ? .nameIsNoText : .vanished
        problems.append((FilePath(path), problem))
    }
}

/// A path, compared byte by byte.
///
/// Swift's strings are equal if they look alike, such as `é` as one character and as two. A Linux file system has two
/// names there.
struct FilePath: Hashable, Codable, Sendable, Comparable, CustomStringConvertible {
    let bytes: [UInt8]

    init(_ text: String) { bytes = Array(text.utf8) }

    init(bytes: some Sequence<UInt8>) { self.bytes = Array(bytes) }

    init(from decoder: any Decoder) throws {
        self.init(try decoder.singleValueContainer().decode(String.self))
    }

    func encode(to encoder: any Encoder) throws {
        var container = encoder.singleValueContainer()
        try container.encode(description)
    }

    /// Whether the path is valid UTF-8, which a Linux file system does not require.
    var isText: Bool { String(validating: bytes, as: UTF8.self) != nil }

    var description: String { String(decoding: bytes, as: UTF8.self) }

    static func < (one: FilePath, other: FilePath) -> Bool { one.bytes.lexicographicallyPrecedes(other.bytes) }
}
