import FileLock
import Foundation
import Logging
import TestSupport
import Testing

@testable import Warren

@Suite struct SpoolDiskTests {
    private let folder: URL
    private var path: String { folder.appending(path: "jobs.spool").path }

    init() throws {
        folder = FileManager.default.temporaryDirectory.appending(path: "spool-\(UUID())")
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
    }

    private func within(_ body: () throws -> Void) throws {
        defer { try? FileManager.default.removeItem(at: folder) }
        try body()
    }

    private func log(_ disk: SpoolDisk, limit: Int = 1 << 20) throws -> SpoolLog {
        try SpoolLog(disk, limit: limit, newSalt: 7, quarantineName: path + ".damaged-now")
    }

    private var names: [String] {
        get throws { try FileManager.default.contentsOfDirectory(atPath: folder.path).sorted() }
    }

    @Test func `Entries are on the disk, for their owner only, and read back`() throws {
        try within {
            do {
                var first = try log(SpoolDisk(at: path))
                _ = first.append([[1], [2, 2]])
                try first.settle([1])
            }
            #expect(try log(SpoolDisk(at: path)).next(9, bytes: .max).map(\.payload) == [[2, 2]])
            #expect(try names == ["jobs.spool", "jobs.spool.lock"])
            let mode = try FileManager.default.attributesOfItem(atPath: path)[.posixPermissions] as? Int
            #expect(mode == 0o600)
        }
    }

    @Test func `A second owner gets an error naming the first, and the spool once that is closed`() throws {
        try within {
            let first = try SpoolDisk(at: path)
            let error = try #require(throws: FileLock.Taken.self) { try SpoolDisk(at: path) }
            #expect(error.owner == "\(ProcessInfo.processInfo.processIdentifier)")
            first.close()
            _ = try SpoolDisk(at: path)
            #expect(throws: (any Error).self) { try first.synchronize() }
        }
    }

    @Test func `A crash between the removal of the old file and the naming of the new loses neither`() throws {
        try within {
            do {
                var first = try log(SpoolDisk(at: path))
                _ = first.append([[1]])
            }
            try FileManager.default.copyItem(atPath: path, toPath: path + ".new")
            do {
                var second = try log(SpoolDisk(at: path))
                _ = second.append([[2]])
            }
            #expect(try names == ["jobs.spool", "jobs.spool.lock"])
            try FileManager.default.moveItem(atPath: path, toPath: path + ".new")
            #expect(try log(SpoolDisk(at: path)).next(9, bytes: .max).map(\.payload) == [[1], [2]])
            #expect(try names == ["jobs.spool", "jobs.spool.lock"])
        }
    }

    @Test func `A damaged file is kept beside the one in use`() throws {
        try within {
            do {
                var first = try log(SpoolDisk(at: path))
                _ = first.append([[1], [2], [3]])
            }
            var bytes = try Data(contentsOf: URL(filePath: path))
            bytes[SpoolFormat.headerLength + 30] ^= 1
            try bytes.write(to: URL(filePath: path))
            #expect(try log(SpoolDisk(at: path)).next(9, bytes: .max).map(\.payload) == [[1], [3]])
            #expect(try Data(contentsOf: URL(filePath: path + ".damaged-now")) == bytes)
        }
    }

    @Test func `A compacted file remains in use`() throws {
        try within {
            var first = try log(SpoolDisk(at: path), limit: 8_192)
            for number in 1...100 as ClosedRange<UInt64> {
                _ = first.append([[UInt8](repeating: UInt8(number), count: 300)])
                if number > 1 { try first.settle([number - 1]) }
            }
            #expect(try first.next(9, bytes: .max).map(\.sequence) == [100])
            #expect(try FileManager.default.attributesOfItem(atPath: path)[.size] as? Int ?? 0 <= 8_192)
        }
    }

    @Test func `Rejected jobs are written one to a line, up to the limit`() throws {
        try within {
            let disk = try SpoolDisk(at: path)
            try disk.appendRejected(Array("one".utf8), limit: 10)
            try disk.appendRejected(Array("two".utf8), limit: 10)
            #expect(throws: SpoolRoomExceeded.self) { try disk.appendRejected(Array("three".utf8), limit: 10) }
            #expect(try String(contentsOfFile: path + ".rejected", encoding: .utf8) == "one\ntwo")
        }
    }

    @Test func `The error names the file that can't be used, and the reason`() throws {
        try within {
            let logger = Logger.quiet
            try Data("Dear diary".utf8).write(to: URL(filePath: path))
            let kind = try #require(throws: WarrenError.self) { try Spool(at: path, limit: 4_096, logger: logger) }
            #expect(kind.code == .spoolFailed)
            #expect(kind.message.contains(path))
            #expect(kind.message.contains("not a spool"))
            #expect(try String(contentsOfFile: path, encoding: .utf8) == "Dear diary")
            let absent = try #require(throws: WarrenError.self) {
                try Spool(at: folder.path + "/nowhere/x", limit: 4_096, logger: logger)
            }
            #expect(absent.message.contains("folder"))
            let other = folder.appending(path: "other").path
            let first = try Spool(at: other, limit: 4_096, logger: logger)
            let taken = try #require(throws: WarrenError.self) { try Spool(at: other, limit: 4_096, logger: logger) }
            #expect(taken.message.contains("\(ProcessInfo.processInfo.processIdentifier)"))
            first.close()
            #expect(throws: WarrenError.self) { try Spool(at: other, limit: 99, logger: logger) }
        }
    }
}
