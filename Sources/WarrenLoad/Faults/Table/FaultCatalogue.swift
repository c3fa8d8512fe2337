/// All faults, in the order in which they are made.
enum FaultCatalogue {
    static let all: [any Fault] = [
        WorkerKilled(), RollingRestart(), ConnectionsClosed(),
        NetworkLatency(), NetworkBlackHole(), NetworkReset(), NetworkOneWay(),
        Alarm.memory, Alarm.disk,
        QueueDeleted(), ConsumerTimeout(), ChannelError(), PoisonJob(), HostileBytes(),
        BrokerRestarted(), BrokerKilled(), BrokerAway(), EnqueueDeadline(), NodeKilled(),
    ]
}
