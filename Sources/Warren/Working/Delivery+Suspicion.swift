import AMQP

extension Delivery {
    /// True if the job may have taken a process down, so that it should run alone.
    ///
    /// It says no more than that: innocent jobs that were waiting or running beside the guilty one are suspected too, and so are those
    /// whose connection was lost, or that were handed back often to a broker that counts this. A quorum queue counts deliveries in
    /// `x-delivery-count`, on every supported version also those whose consumer died: the second return makes the suspicion. A classic
    /// queue only says that there was one.
    var mayBePoison: Bool {
        guard isRedelivered else { return false }
        guard let count = message.properties.headers?[EnvelopeHeader.deliveryCount]?.integerValue else { return true }
        return count >= 2
    }
}
