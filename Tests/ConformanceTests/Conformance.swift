import AMQP
import Synchronization
import Testing

/// What a broker does at the seam, as cases that are each written once and run on each broker.
///
/// `swift test --filter Conformance` runs it on RabbitMQ, if one was started, and on the embedded broker as that version, and tells how many
/// cases ran on which. Where RabbitMQ and its documentation differ, RabbitMQ is right, and the case says so. What depends on the version asks
/// `BrokerFeatures`; no case compares versions.
@Suite(CountTrait(), CaseTrait(), .timeLimit(.minutes(2)))
enum Conformance {
    private static let knownVersion = Mutex(BrokerVersion(3, 10))

    /// The version that is tested: RabbitMQ's, or without one the oldest that is supported.
    static var version: BrokerVersion { knownVersion.withLock { $0 } }

    static func setVersion(_ version: BrokerVersion) { knownVersion.withLock { $0 = version } }
}
