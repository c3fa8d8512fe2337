import Foundation

/// The regular files below a folder, and what had to be left out.
struct FolderWalk {
    /// Why a file or folder was left out.
    enum Problem: String, CaseIterable {
        /// Foundation, and JSON, have names as text.
        case nameIsNoText = "the name is not UTF-8"
        case unreadable = "not readable"
        case vanished = "gone meanwhile"
    }

    /// The folder's absolute path, without symbolic links.
    let root: String
    private(set) var files: [FilePath] = []
    private(set) var problems: [(path: FilePath, problem: Problem)] = []

    private let manager = FileManager.default

    /// Walks through a folder, in the order of names.
    ///
    /// Symbolic links are not followed, but `folder` itself may be one. Sockets, pipes and devices are no regular files: reading them
    /// could take for ever.
    ///
    /// - Throws: If the folder itself can't be read.
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
        // Bytes that are no text were replaced by this character, and a file of such a name doesn't exist.
        let problem: Problem = !isMissing ? .unreadable : path.contains("\u{FFFD}") ? .nameIsNoText : .vanished
        problems.append((FilePath(path), problem))
    }
}
