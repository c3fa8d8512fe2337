import Foundation
import TestSupport
import Testing

@testable import Warren

@Suite struct JobIDTests {
    @Test func `An id is a UUID of version 7 in lower case`() throws {
        for seed in 0..<200 {
            var generator = SeededGenerator(seed: UInt64(seed))
            var tail = JobID.RandomTail()
            let id = JobID.make(now: noon, &tail, using: &generator)
            #expect(UUID(uuidString: id) != nil)
            #expect(id == id.lowercased())
            let characters = Array(id)
            #expect(characters[14] == "7")
            #expect("89ab".contains(characters[19]))
        }
    }

    @Test func `An id begins with its time in milliseconds, so that ids sort by age`() {
        var generator = SeededGenerator(seed: 1)
        var tail = JobID.RandomTail()
        let early = JobID.make(now: noon, &tail, using: &generator)
        let late = JobID.make(now: noon + 0.002, &tail, using: &generator)
        #expect(early < late)
        #expect(early.replacing("-", with: "").prefix(12) == String(Int(1_795_232_137_755), radix: 16).leftPadded(12))
    }

    @Test func `Ids made in the same millisecond sort by age, and the next millisecond's are drawn again`() {
        var generator = SeededGenerator(seed: 1)
        var tail = JobID.RandomTail()
        let ids = (0..<100).map { _ in JobID.make(now: noon, &tail, using: &generator) }
        #expect(ids == ids.sorted() && Set(ids).count == 100)
        let next = JobID.make(now: noon + 0.001, &tail, using: &generator)
        #expect(next.suffix(12) != ids[99].suffix(12) && next.suffix(12) != ids[0].suffix(12))
    }

    @Test func `Ids made at the same time are different`() {
        #expect(Set((0..<10_000).map { _ in JobID.make(now: noon) }).count == 10_000)
    }
}

extension String {
    fileprivate func leftPadded(_ count: Int) -> String {
        String(repeating: "0", count: max(0, count - self.count)) + self
    }
}
