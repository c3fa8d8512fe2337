import TestSupport
import Testing

@testable import Warren

@Suite struct LaneSchedulerTests {
    @Test func `With a strict policy, the most urgent lane is drained first, each lane in its order`() {
        var scheduler = LaneScheduler<Int>(strictLanes: 3)
        _ = scheduler.offer([30, 31], lane: 2)
        _ = scheduler.offer([20, 21], lane: 1)
        #expect(scheduler.take() == 20)
        _ = scheduler.offer([10], lane: 0)
        #expect(drained(&scheduler) == [10, 21, 30, 31])
    }

    @Test(arguments: [[1], [1, 1], [5, 1], [4, 2, 1], [3, 3, 1], [100, 10, 1]])
    func `With weights, each cycle gives every busy lane exactly its weight`(weights: [Int]) {
        var scheduler = LaneScheduler<Int>(weights: weights)
        let cycle = weights.reduce(0, +)
        for lane in weights.indices { _ = scheduler.offer(Array(repeating: lane, count: 4 * cycle), lane: lane) }
        for _ in 0..<3 {
            let turns = drained(&scheduler, cycle)
            #expect(weights.indices.map { lane in turns.count { $0 == lane } } == weights)
        }
    }

    @Test func `With weights, turns are spread evenly and deterministically`() {
        var scheduler = LaneScheduler<Int>(weights: [4, 2, 1])
        for lane in 0..<3 { _ = scheduler.offer(Array(repeating: lane, count: 10), lane: lane) }
        #expect(drained(&scheduler, 7) == [0, 1, 0, 2, 0, 1, 0])
    }

    @Test func `An empty lane costs the others nothing and accumulates no turns`() {
        var scheduler = LaneScheduler<Int>(weights: [1, 1])
        _ = scheduler.offer(Array(repeating: 0, count: 100), lane: 0)
        #expect(drained(&scheduler, 50).allSatisfy { $0 == 0 })
        _ = scheduler.offer(Array(repeating: 1, count: 50), lane: 1)
        #expect(drained(&scheduler, 20).count { $0 == 1 } == 10)
    }

    @Test func `Removing a lane's elements leaves the others'`() {
        var scheduler = LaneScheduler<Int>(strictLanes: 2)
        _ = scheduler.offer([1, 2], lane: 0)
        _ = scheduler.offer([3], lane: 1)
        #expect(scheduler.removeAll(lane: 0) == [1, 2])
        #expect(scheduler.count == 1)
        #expect(drained(&scheduler) == [3])
    }

    @Test func `A closed scheduler returns its waiting elements, and accepts and yields no more`() {
        var scheduler = LaneScheduler<Int>(strictLanes: 2)
        _ = scheduler.offer([1, 2], lane: 0)
        _ = scheduler.offer([3], lane: 1)
        #expect(scheduler.close() == [1, 2, 3])
        #expect(scheduler.offer([4], lane: 0) == [4])
        #expect(scheduler.take() == nil)
    }
}

@Suite struct LaneSchedulerPropertyTests {
    @Test func `Every element that is offered comes out exactly once, in any interleaving`() async {
        for seed in PropertyRounds.seeds(40).map(Int.init) {
            await Task.yield()
            var random = seed &* 2_654_435_761 &+ 1
            func draw(_ bound: Int) -> Int {
                random = random &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
                return Int(UInt(bitPattern: random) >> 33) % bound
            }
            var scheduler = seed % 2 == 0 ? LaneScheduler<Int>(strictLanes: 3) : LaneScheduler<Int>(weights: [5, 2, 1])
            var offered = 0
            var taken: [Int] = []
            for _ in 0..<100 {
                let count = draw(4)
                #expect(scheduler.offer(offered..<offered + count, lane: draw(3)).isEmpty)
                offered += count
                taken += drained(&scheduler, draw(4))
                #expect(scheduler.count == offered - taken.count)
            }
            taken += scheduler.close()
            #expect(taken.sorted() == Array(0..<offered))
        }
    }
}

private func drained(_ scheduler: inout LaneScheduler<Int>, _ count: Int = .max) -> [Int] {
    var taken: [Int] = []
    while taken.count < count, let element = scheduler.take() { taken.append(element) }
    return taken
}
