import Testing
import Warren

@testable import Digest

@Suite("Failures on purpose")
struct FaultPlanTests {
    private let paths = (0..<2_000).map { FilePath("/some/folder/file-\($0)") }

    @Test("The share of flaky files is the one asked for, and none or all at its ends")
    func share() {
        func count(_ share: Double) -> Int {
            let plan = FaultPlan(flaky: share, poison: 0)
            return paths.count { plan.failures(of: $0) != nil }
        }
        #expect(count(0) == 0)
        #expect(count(1) == 2_000)
        #expect((150...250).contains(count(0.1)))
    }

    @Test("Which files are flaky depends on their paths alone, and a larger share includes a smaller one")
    func repeatable() {
        let few = FaultPlan(flaky: 0.1, poison: 0)
        let more = FaultPlan(flaky: 0.2, poison: 3)
        for path in paths {
            guard let failures = few.failures(of: path) else { continue }
            #expect(more.failures(of: path) == failures)
        }
    }

    @Test("A flaky file leaves attempts over, so that it succeeds in the end")
    func enoughAttempts() {
        let plan = FaultPlan(flaky: 1, poison: 0)
        #expect(Set(paths.compactMap(plan.failures)) == [1, 2])
        #expect(DigestFile.retry.attempts > 2)
    }

    @Test("Planted jobs are of two kinds: no such file, and failing for ever")
    func planted() {
        let planted = FaultPlan(flaky: 0, poison: 3).planted(below: "/some/folder")
        #expect(planted.map { $0.failures ?? 0 > DigestFile.retry.attempts } == [false, true, false])
        #expect(Set(planted.map(\.path)).count == 3)
    }

    @Test("Planted jobs stand among the others, and none is left out", arguments: [(0, 5), (3, 100), (5, 3), (4, 0)])
    func spread(few: Int, many: Int) {
        let result = EnqueueFolder.spread(
            Array(repeating: true, count: few),
            among: Array(repeating: false, count: many)
        )
        #expect(result.count { $0 } == few)
        #expect(result.count { !$0 } == many)
        if many > few, few > 0 { #expect(result.firstIndex(of: true) != many) }
    }
}
