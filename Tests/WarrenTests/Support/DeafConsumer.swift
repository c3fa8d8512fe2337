import AMQP
import Synchronization

/// A consumer that is registered at its broker and has deliveries there, none of which arrives: see ``BrokerFeatures/mayKeepDeadConsumers``.
final class DeafConsumer: Sendable {
    private let streams = Mutex<(broker: DeliveryStream, reader: DeliveryStream)?>(nil)

    /// Comes between a broker's stream and its reader; returns what is to be read instead.
    func takePlace(of stream: DeliveryStream) -> DeliveryStream {
        let reader = DeliveryStream(
            control: DeliveryStream.Control(
                cancel: {
                    await stream.cancel()
                    self.streams.withLock(\.self)?.reader.finish()
                },
                close: {
                    await stream.close()
                    self.streams.withLock { $0.take() }?.reader.finish()
                }
            )
        )
        streams.withLock { $0 = (stream, reader) }
        return reader
    }

    /// Lets those deliveries arrive after all that are there.
    func hear() async throws(AMQPError) {
        guard let (broker, reader) = streams.withLock(\.self) else { return }
        reader.yield(try await broker.nextBatch())
    }
}
