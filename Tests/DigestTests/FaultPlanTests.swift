import Testing
import Warren

@testable import Digest

struct FaultPlanTests {
    private let files = 0..<2_000

    private func failures(_ share: Double) -> [Int?] { files.map(FaultPlan(flaky: share, poison: 0).failures) }

    @Test(arguments: [0, 0.05, 0.1, 1])
    func `The share of flaky files is exactly the one asked for`(_ share: Double) {
        #expect(failures(share).count { $0 != nil } == Int(2_000 * share))
    }

    @Test func `Flaky files are spread evenly over all files`() {
        let flaky = files.filter { failures(0.1)[$0] != nil }
        #expect(Set(zip(flaky, flaky.dropFirst()).map { $1 - $0 }) == [10])
    }

    @Test func `A flaky file has attempts left after its failures, so that it succeeds in the end`() {
        #expect(Set(failures(1)) == [1, 2])
        #expect(DigestFile.retry.attempts > 2)
    }

    @Test func `Planted jobs are of two kinds: no such file, and failing every time`() {
        let planted = FaultPlan(flaky: 0, poison: 3).planted(below: "/some/folder")
        #expect(planted.map { $0.failures ?? 0 > DigestFile.retry.attempts } == [false, true, false])
        #expect(Set(planted.map(\.path)).count == 3)
    }

    @Test(arguments: [(0, 5), (3, 100), (5, 3), (4, 0)])
    func `Planted jobs stand among the others, and none is left out`(few: Int, many: Int) {
        let result = EnqueueFolder.spread(
            Array(repeating: true, count: few),
            among: Array(repeating: false, count: many)
        )
        #expect(result.count { $0 } == few)
        #expect(result.count { !$0 } == many)
        if many > few, few > 0 { #expect(result.firstIndex(of: true) != many) }
    }
}
