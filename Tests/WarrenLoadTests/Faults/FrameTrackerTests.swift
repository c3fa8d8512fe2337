import Testing

@testable import WarrenLoad

@Suite struct FrameTrackerTests {
    private let greeting = Array("AMQP".utf8) + [0, 0, 9, 1]

    private func frame(_ payload: [UInt8], type: UInt8 = 1, channel: UInt8 = 1) -> [UInt8] {
        [type, 0, channel, 0, 0, 0, UInt8(payload.count)] + payload + [0xCE]
    }

    @Test func `Frames are found however their bytes are split`() {
        let bytes = greeting + frame([1, 2, 3, 4, 5]) + frame([], type: 8) + frame([9])
        for size in 1...bytes.count {
            var tracker = FrameTracker(greeting: 8)
            var boundaries: [Int] = []
            for (index, byte) in bytes.enumerated() {
                if tracker.isAtBoundary { boundaries.append(index) }
                tracker.pass([byte])
            }
            #expect(boundaries == [8, 21, 29])
            #expect(tracker.isAtBoundary)
            var pieces = FrameTracker(greeting: 8)
            for start in stride(from: 0, to: bytes.count, by: size) {
                pieces.pass(bytes[start..<min(start + size, bytes.count)])
            }
            #expect(pieces.isAtBoundary)
        }
    }

    @Test func `The first boundary and the first middle of a frame are given by the number of bytes before them`() {
        let tracker = FrameTracker(greeting: 8)
        let bytes = greeting + frame([1, 2, 3])
        #expect(tracker.firstBoundary(in: bytes) == 8)
        #expect(tracker.firstMiddle(in: bytes) == 15)
        #expect(tracker.firstBoundary(in: Array(bytes[..<7])) == nil)
        #expect(tracker.firstMiddle(in: greeting + frame([], type: 8)) == nil)
    }

    @Test func `Channels on which messages are delivered are recorded`() {
        var tracker = FrameTracker(greeting: 0)
        tracker.pass(frame([0, 60, 0, 60, 1], channel: 3) + frame([0, 60, 0, 80, 1], channel: 4))
        tracker.pass(frame([0, 60, 0, 60], type: 3, channel: 5))
        #expect(tracker.deliveringChannels == [3])
    }

    @Test func `The bad frame is a complete frame`() {
        var tracker = FrameTracker(greeting: 0)
        tracker.pass(BadFrame.acknowledgement(ofUnknownDeliveryOn: 258))
        #expect(tracker.isAtBoundary)
    }
}
