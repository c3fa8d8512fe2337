import TestSupport
import Testing

@testable import RabbitMQ

struct ConfirmTrackerTests {
    @Test func `A single confirm decides one publish`() {
        var tracker = tracker(waiting: 3)
        #expect(confirmed(&tracker, 2) == [2])
        #expect(tracker.takeAll() == [1, 3])
    }

    @Test func `A multiple confirm decides all up to its number, oldest first`() {
        var tracker = tracker(waiting: 4)
        #expect(confirmed(&tracker, 3, multiple: true) == [1, 2, 3])
        #expect(tracker.takeAll() == [4])
    }

    @Test func `A multiple confirm skips what was confirmed singly`() {
        var tracker = tracker(waiting: 4)
        #expect(confirmed(&tracker, 2) == [2])
        #expect(confirmed(&tracker, 4, multiple: true) == [1, 3, 4])
        #expect(tracker.count == 0)
    }

    @Test func `A confirm for a number that does not wait is ignored`() {
        var tracker = tracker(waiting: 2)
        #expect(confirmed(&tracker, 0) == [])
        #expect(confirmed(&tracker, 3) == [])
        #expect(confirmed(&tracker, 1) == [1])
        #expect(confirmed(&tracker, 1) == [])
        #expect(tracker.takeAll() == [2])
    }

    @Test func `Numbers start again at one on a new channel`() {
        var tracker = tracker(waiting: 2)
        _ = tracker.takeAll()
        tracker.append(7)
        #expect(confirmed(&tracker, 1) == [7])
    }
}

struct ConfirmTrackerPropertyTests {
    @Test(arguments: PropertyRounds.seeds(10))
    func `Whatever the order of confirms, each publish is decided once`(seed: UInt64) async {
        var random = SeededGenerator(seed: seed)
        let count = 200
        var tracker = tracker(waiting: count)
        var decided: [Int] = []
        var open = Set(1...UInt64(count))
        while let tag = open.randomElement(using: &random) {
            await Task.yield()
            let multiple = Bool.random(using: &random)
            decided += confirmed(&tracker, tag, multiple: multiple)
            open = multiple ? open.filter { $0 > tag } : open.subtracting([tag])
        }
        #expect(decided.sorted() == Array(1...count))
        #expect(tracker.count == 0)
    }
}

/// A tracker with this number of waiting publishes, named 1, 2, 3 and so on.
private func tracker(waiting count: Int) -> ConfirmTracker<Int> {
    var tracker = ConfirmTracker<Int>()
    for number in 1...count { tracker.append(number) }
    return tracker
}

private func confirmed(_ tracker: inout ConfirmTracker<Int>, _ tag: UInt64, multiple: Bool = false) -> [Int] {
    var decided: [Int] = []
    tracker.confirm(tag, multiple: multiple) { decided.append($0) }
    return decided
}
