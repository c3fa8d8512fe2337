import Testing

@testable import EmbeddedBroker

@Suite struct ConsumerRotationTests {
    private let one = ChannelID(number: 1)
    private let two = ChannelID(number: 2)

    private func take(_ count: Int, _ rotation: inout ConsumerRotation) -> [ChannelID?] {
        (0..<count).map { _ in rotation.take() }
    }

    private func settle(_ channel: ChannelID, _ rotation: inout ConsumerRotation) -> Bool { rotation.settled(channel) }

    @Test func `Consumers are served in turn while they have room`() {
        var rotation = ConsumerRotation()
        rotation.add(one, prefetch: 1, priority: 0)
        rotation.add(two, prefetch: 2, priority: 0)
        #expect(take(4, &rotation) == [one, two, two, nil])
        #expect(settle(one, &rotation))
        #expect(take(1, &rotation) == [one])
    }

    @Test func `The higher priority goes first while it has room`() {
        var rotation = ConsumerRotation()
        rotation.add(one, prefetch: 0, priority: 0)
        rotation.add(two, prefetch: 2, priority: 5)
        #expect(take(3, &rotation) == [two, two, one])
        rotation.settled(two)
        #expect(take(1, &rotation) == [two])
    }

    @Test func `A single active consumer stays active until it is gone`() {
        var rotation = ConsumerRotation(singleActive: true)
        rotation.add(one, prefetch: 1, priority: 0)
        rotation.add(two, prefetch: 1, priority: 9)
        #expect(take(1, &rotation) == [one])
        #expect(take(1, &rotation) == [nil])
        rotation.settled(one)
        #expect(take(1, &rotation) == [one])
        rotation.remove(one)
        #expect(take(1, &rotation) == [two])
    }

    @Test func `A higher priority takes over once the active consumer has settled everything`() {
        var rotation = ConsumerRotation(singleActive: true, prefersHigher: true)
        rotation.add(one, prefetch: 5, priority: 0)
        #expect(take(1, &rotation) == [one])
        rotation.add(two, prefetch: 5, priority: 1)
        #expect(take(1, &rotation) == [nil])
        rotation.settled(one)
        #expect(take(1, &rotation) == [two])
    }
}
