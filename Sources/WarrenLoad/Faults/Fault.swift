import Foundation

/// What an experiment is given: its size, a broker, a place for files.
struct FaultContext: Sendable {
    var isShort: Bool
    var brokers: FaultBrokers
    /// A folder of the experiment's own.
    var folder: URL

    /// One of two values, by the form.
    func size<Value>(short: Value, long: Value) -> Value { isShort ? short : long }

    /// How late an `enqueue` may come back after its deadline, in milliseconds: what is owed, and in the short form, which runs beside
    /// other work and without optimisation, five times that.
    var latenessLimit: Double { size(short: 250, long: 50) }
}

/// A fault, and the experiment that shows what it does.
protocol Fault: Sendable {
    /// Its name on the command line and in the report.
    var name: String { get }
    /// What is done, in the words of the README's table.
    var summary: String { get }

    /// Makes the experiment.
    func run(_ context: FaultContext) async throws -> FaultReport
}

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
