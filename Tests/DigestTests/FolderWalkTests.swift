import Foundation
import Testing

@testable import Digest

struct FolderWalkTests {
    private let folder: TemporaryFolder

    init() throws { folder = try TemporaryFolder() }

    private func names(_ walk: FolderWalk) -> [String] {
        walk.files.map { String($0.description.dropFirst(walk.root.count + 1)) }
    }

    @Test func `All regular files below it are found, whatever their names`() throws {
        let odd = ["a b", "new\nline", "back\\slash", "\"quotes\"", "sub/deep/x", ".hidden", "tab\t", "emoji 🐇"]
        for name in odd { try folder.write("x", to: name) }
        #expect(Set(names(try FolderWalk(folder.path))) == Set(odd))
    }

    #if os(Linux)
    @Test func `Two names that look the same are two files`() throws {
        try folder.write("1", to: "caf\u{E9}")
        try folder.write("2", to: "cafe\u{301}")
        #expect(Set(try FolderWalk(folder.path).files).count == 2)
    }
    #endif

    @Test func `Symbolic links are not followed`() throws {
        try folder.write("x", to: "real/file")
        for (link, target) in [("to-file", "real/file"), ("to-folder", "real"), ("loop", "."), ("broken", "nowhere")] {
            try FileManager.default.createSymbolicLink(atPath: "\(folder.path)/\(link)", withDestinationPath: target)
        }
        #expect(names(try FolderWalk(folder.path)) == ["real/file"])
    }

    @Test func `A folder that is itself a link is walked through, and paths don't go by way of it`() throws {
        try folder.write("x", to: "real/file")
        try FileManager.default.createSymbolicLink(atPath: "\(folder.path)/link", withDestinationPath: "real")
        #expect(try FolderWalk("\(folder.path)/link").files == [FilePath("\(folder.path)/real/file")])
    }

    @Test func `A folder that isn't there is an error`() {
        #expect(throws: (any Error).self) { try FolderWalk("\(folder.path)/nowhere") }
    }
}
