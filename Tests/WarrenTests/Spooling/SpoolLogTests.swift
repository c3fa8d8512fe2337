import TestSupport
import Testing

@testable import Warren

@Suite struct SpoolLogTests {
    private func open(_ storage: MemoryStorage, limit: Int = 1 << 20) throws -> SpoolLog {
        try SpoolLog(storage, limit: limit, newSalt: 7, quarantineName: "quarantine")
    }

    private func payloads(_ log: SpoolLog) throws -> [[UInt8]] {
        try log.next(.max, bytes: .max).map(\.payload)
    }

    private func isDone(_ result: Result<Void, any Error>) -> Bool {
        if case .success = result { true } else { false }
    }

    @Test func `Appended entries are read in their order after reopening`() throws {
        let storage = MemoryStorage()
        var log = try open(storage)
        #expect(log.append([[1], [2, 2]]).allSatisfy(isDone))
        #expect(log.append([[]]).allSatisfy(isDone))
        #expect(try payloads(open(storage)) == [[1], [2, 2], []])
    }

    @Test func `Entries appended together share one synchronization`() throws {
        let storage = MemoryStorage()
        var log = try open(storage)
        _ = log.append((0..<100).map { [$0] })
        #expect(storage.now.synchronizations == 1)
    }

    @Test func `A settled entry behind one that isn't is not sent twice by the same process`() throws {
        let storage = MemoryStorage()
        var log = try open(storage)
        _ = log.append([[1], [2], [3]])
        try log.settle([2])
        #expect(try payloads(log) == [[1], [3]])
        try log.settle([1])
        #expect(try payloads(log) == [[3]])
        #expect(try payloads(open(storage)) == [[3]])
    }

    @Test func `When all entries are settled, the file is as short as at the start, and its numbers go on`() throws {
        let storage = MemoryStorage()
        var log = try open(storage)
        _ = log.append([[1], [2]])
        try log.settle([1, 2])
        #expect(storage.now.durable.count == SpoolFormat.headerLength + SpoolFormat.recordHeaderLength)
        var again = try open(storage)
        _ = again.append([[3]])
        #expect(try again.next(1, bytes: 1).map(\.sequence) == [3])
    }

    @Test func `A full spool refuses what doesn't fit, keeps the rest, and has room again later`() throws {
        let storage = MemoryStorage()
        var log = try open(storage, limit: 4_096)
        let large = [UInt8](repeating: 1, count: 1_500)
        #expect(log.append([large, large, large, [2]]).map(isDone) == [true, true, false, true])
        #expect(storage.now.log.count <= 4_096)
        try log.settle([1, 2])
        #expect(log.append([large]).map(isDone) == [true])
        #expect(try payloads(open(storage)) == [[2], large])
        #expect(storage.now.log.count <= 4_096)
    }

    @Test func `A disk that fills up in mid-write costs the entry, and no other`() throws {
        let storage = MemoryStorage()
        var log = try open(storage)
        _ = log.append([[1]])
        storage.setRoom(30)
        #expect(!isDone(log.append([[UInt8](repeating: 9, count: 100)])[0]))
        storage.setRoom(nil)
        #expect(log.append([[2]]).allSatisfy(isDone))
        let again = try open(storage)
        #expect(try payloads(again) == [[1], [2]])
        #expect(again.recovery == SpoolLog.Recovery(waiting: 2))
    }

    @Test func `A file that is mostly dead is copied, and stays below its limit`() throws {
        let storage = MemoryStorage()
        var log = try open(storage, limit: 16_384)
        var last: UInt64 = 0
        let filler = [UInt8](repeating: 0, count: 500)
        _ = log.append([filler])
        for _ in 0..<200 {
            #expect(log.append([filler]).allSatisfy(isDone))
            last += 1
            try log.settle([last])
            #expect(storage.now.log.count <= 16_384)
        }
        #expect(storage.now.replacements > 1)
        #expect(try open(storage).next(9, bytes: .max).map(\.sequence) == [201])
    }

    @Test func `An incomplete last record is cut off`() throws {
        let storage = MemoryStorage()
        var log = try open(storage)
        _ = log.append([[1]])
        _ = log.append([[2, 2, 2, 2]])
        let torn = MemoryStorage(storage.now.log.dropLast(2))
        let again = try open(torn)
        #expect(try payloads(again) == [[1]])
        #expect(again.recovery.tornBytes == 26)
        #expect(again.recovery.quarantinedTo == nil)
        #expect(torn.now.log.count == SpoolFormat.headerLength + 25)
    }

    @Test func `A damaged record among intact ones is reported, and the file is kept`() throws {
        let storage = MemoryStorage()
        var log = try open(storage)
        _ = log.append([[1], [2], [3]])
        var bytes = storage.now.log
        bytes[SpoolFormat.headerLength + 25 + 24] ^= 0x40
        let damaged = MemoryStorage(bytes)
        let again = try open(damaged)
        #expect(try payloads(again) == [[1], [3]])
        #expect(again.recovery.lostEntries == 1)
        #expect(again.recovery.quarantinedTo == "quarantine")
        #expect(damaged.now.quarantined["quarantine"] == bytes)
        #expect(try open(damaged).recovery == SpoolLog.Recovery(waiting: 2))
    }

    @Test func `Records inside a damaged job's payload are not taken for the file's own`() throws {
        let storage = MemoryStorage()
        var log = try open(storage)
        let forged = SpoolFormat.record(.entry, 2, [6, 6, 6], salt: 8)
        _ = log.append([forged + [1], [3]])
        var bytes = storage.now.log
        bytes[SpoolFormat.headerLength + 20] ^= 1
        #expect(try payloads(open(MemoryStorage(bytes))) == [[3]])
    }

    @Test func `Files of another kind or version are refused and left alone`() throws {
        var other = SpoolFormat.header(salt: 1)
        other[9] = 2
        other.replaceSubrange(20..., with: other[..<20])
        for bytes in [Array("Dear diary, this is certainly no spool at all.".utf8), [1], other] {
            let storage = MemoryStorage(bytes)
            #expect(throws: SpoolFormat.NotASpool.self) { try open(storage) }
            #expect(storage.now.log == bytes)
        }
    }

    @Test func `One bad bit in the header does no harm`() throws {
        let storage = MemoryStorage()
        var log = try open(storage)
        _ = log.append([[1]])
        for index in 0..<SpoolFormat.headerLength {
            var bytes = storage.now.log
            bytes[index] ^= 1
            #expect(try payloads(open(MemoryStorage(bytes))) == [[1]])
        }
    }
}

@Suite struct SpoolJournalPropertyTests {
    @Test func `Whatever a crash does to the last write, nothing acknowledged is lost, and the order is kept`()
        async throws
    {
        for seed in PropertyRounds.seeds(400) {
            await Task.yield()
            var random = SeededGenerator(seed: seed)
            var model = try CrashModel(limit: [4_096, 6_000, 1 << 20].randomElement(using: &random)!)
            for _ in 0..<Int.random(in: 1...12, using: &random) { try model.step(&random) }
            try model.crash(&random)
            #expect(model.problem == nil, "seed \(seed)")
        }
    }
}
