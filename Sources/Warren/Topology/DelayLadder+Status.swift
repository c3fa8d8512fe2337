public import AMQP

extension DelayLadder {
    /// How the ladder's queues stand: its levels, the longest first, and the queue of what couldn't be routed.
    ///
    /// Nothing, if the ladder was never declared.
    ///
    /// - Throws: `accessRefused`, `connectionFailed` and the like.
    public static func status(on transport: any Transport) async throws(AMQPError) -> [LaneStatus] {
        var statuses: [LaneStatus] = []
        let levels = (0..<levelCount).reversed().map(name(ofLevel:))
        for name in levels + [unroutedName] {
            do {
                let found = try await transport.status(ofQueue: name)
                statuses.append(
                    LaneStatus(
                        queue: String(namePrefix.dropLast()),
                        lane: String(name.dropFirst(namePrefix.count)),
                        name: name,
                        exists: true,
                        ready: found.messageCount,
                        consumers: found.consumerCount
                    )
                )
            } catch {
                // Declared in one go: where one is missing, there is no ladder, and asking for the others would only cost channels.
                guard error.code == .notFound else { throw error }
                return statuses
            }
        }
        return statuses
    }
}
