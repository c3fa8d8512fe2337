import AMQP
import Foundation

/// The context of an experiment: its size, its brokers and its folder.
struct FaultContext: Sendable {
    var isShort: Bool
    var brokers: FaultBrokers
    /// The experiment's folder.
    var folder: URL

    /// One of two values, depending on the form.
    func size<Value>(short: Value, long: Value) -> Value { isShort ? short : long }

    /// The time by which an `enqueue` may overrun its deadline, in milliseconds.
    ///
    /// The short form, which runs beside other work and without optimization, allows five times the required limit.
    var latenessLimit: Double { size(short: 250, long: 50) }
}

/// A fault, and the experiment that shows its effect.
protocol Fault: Sendable {
    /// The name on the command line and in the report.
    var name: String { get }
    /// The description in the published table.
    var summary: String { get }

    /// Runs the experiment.
    func run(_ context: FaultContext) async throws -> FaultReport
}

/// All faults, in the order in which they run.
enum FaultCatalogue {
    static let all: [any Fault] = [
        WorkerKilled(), RollingRestart(), RestartThroughput(kind: .quorum), RestartThroughput(kind: .classic),
        ConnectionsClosed(), DeadExchangeForbidden(),
        NetworkLatency(), NetworkBlackHole(), NetworkReset(), NetworkOneWay(),
        Alarm.memory, Alarm.disk,
        QueueDeleted(), ConsumerTimeout(), ChannelError(), PoisonJob(), HostileBytes(),
        BrokerRestarted(), BrokerKilled(), BrokerAway(), EnqueueDeadline(), QueueUnavailable(), NodeKilled(),
    ]
}
