public import AMQP

/// What differs between versions of RabbitMQ, as far as Warren cares: the one table of it.
///
/// Source: RabbitMQ's release notes and documentation, and trials on 3.10.8, 4.0 and 4.3.6.
public struct BrokerFeatures: Sendable, Hashable {
    /// The oldest version on which everything holds: quorum queues learned a time to live and at-least-once dead-lettering in it.
    public static let oldestSupportedVersion = BrokerVersion(3, 10)

    /// The version this is about.
    public var version: BrokerVersion

    /// What a broker of this version does.
    public init(_ version: BrokerVersion) {
        self.version = version
    }

    /// Whether Warren's guarantees hold on this version.
    public var isSupported: Bool { version >= Self.oldestSupportedVersion }

    /// The `x-delivery-limit` that means "no limit", or `nil` where that is said by leaving the argument out.
    ///
    /// Until 3.13 a quorum queue without the argument has no limit, and -1 is refused. Since 4.0 it would have a limit of 20,
    /// after which a queue without a dead-letter exchange drops the message; -1 lifts it.
    public var unlimitedDeliveryLimit: Int? { version >= BrokerVersion(4, 0) ? -1 : nil }

    /// Whether a delivery given back with `nack` counts towards a quorum queue's delivery limit.
    ///
    /// One given back with `reject` counts on every version.
    public var nackCountsTowardsDeliveryLimit: Bool { version < BrokerVersion(4, 3) }

    /// Whether the broker reads `x-death` headers that a publisher sends, and silently drops the message if they look like a cycle.
    public var interpretsPublishedDeathHeaders: Bool { version < BrokerVersion(4, 0) }

    /// The largest message the broker takes by default, in bytes.
    public var maximumMessageSize: Int { (version >= BrokerVersion(4, 0) ? 16 : 128) * 1024 * 1024 }
}
