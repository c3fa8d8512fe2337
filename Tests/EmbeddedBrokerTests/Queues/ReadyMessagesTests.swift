import AMQP
import Testing

@testable import EmbeddedBroker

@Suite struct ReadyMessagesTests {
    private func message(_ position: UInt64, level: Int = 0) -> StoredMessage {
        StoredMessage(
            content: StoredContent(Message(body: [1, 2]), to: .queue("q")),
            position: position,
            level: level
        )
    }

    private func positions(_ ready: ReadyMessages) -> [UInt64] {
        var ready = ready
        var positions: [UInt64] = []
        while let message = ready.popFirst() { positions.append(message.position) }
        #expect(ready.isEmpty && ready.bytes == 0)
        return positions
    }

    @Test func `A requeued message returns to its original place`() {
        var ready = ReadyMessages()
        for position in [2, 4, 6] as [UInt64] { ready.append(message(position)) }
        for position in [5, 1, 3, 7] as [UInt64] { ready.insert(message(position)) }
        #expect(ready.count == 7 && ready.bytes == 14)
        #expect(positions(ready) == [1, 2, 3, 4, 5, 6, 7])
    }

    @Test func `Requeued messages go first, in the order of their requeueing`() {
        var ready = ReadyMessages()
        ready.append(message(4))
        for position in [3, 1, 2] as [UInt64] { ready.appendRequeued(message(position)) }
        #expect(ready.first?.position == 3)
        #expect(positions(ready) == [3, 1, 2, 4])
    }

    @Test func `Strict priorities let the higher go first, and two classes share two to one`() {
        var strict = ReadyMessages(.strict(levels: 3))
        var shared = ReadyMessages(.twoToOne)
        for position in 1...6 as ClosedRange<UInt64> {
            strict.append(message(position, level: Int(position) % 3))
            shared.append(message(position, level: position <= 4 ? 1 : 0))
        }
        #expect(positions(strict) == [2, 5, 1, 4, 3, 6])
        #expect(positions(shared) == [1, 2, 5, 3, 4, 6])
    }

    @Test func `A message is removed by its position`() {
        var ready = ReadyMessages(.strict(levels: 2))
        for position in 1...4 as ClosedRange<UInt64> { ready.append(message(position, level: Int(position) % 2)) }
        ready.remove(position: 3)
        ready.remove(position: 9)
        #expect(positions(ready) == [1, 2, 4])
    }
}
