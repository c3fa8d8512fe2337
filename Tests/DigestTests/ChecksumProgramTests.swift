import Foundation
import Testing
import Warren

@testable import Digest

struct ChecksumProgramTests {
    private let folder: TemporaryFolder

    init() throws { folder = try TemporaryFolder() }

    @Test(arguments: [
        ("", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"),
        ("abc", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"),
    ]
    )
    func `It is that of the file's bytes`(text: String, digest: String) async throws {
        try folder.write(text, to: "file")
        #expect(try await ChecksumProgram.installed().digest(of: FilePath("\(folder.path)/file")) == digest)
    }

    @Test func `A large file is read to its end`() async throws {
        // The digest of a million times "a" is one of the standard's own examples.
        try folder.write(String(repeating: "a", count: 1_000_000), to: "file")
        let digest = try await ChecksumProgram.installed().digest(of: FilePath("\(folder.path)/file"))
        #expect(digest == "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0")
    }

    @Test func `A file that isn't there is a failure that no attempt will change`() async {
        let error = await #expect(throws: JobFailure.self) {
            try await ChecksumProgram.installed().digest(of: FilePath("\(folder.path)/nowhere"))
        }
        #expect(error?.decision == .never)
    }
}
