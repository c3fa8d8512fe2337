import AMQP

/// What the cases need of a broker that no `Transport` can give.
///
/// One run of one case has one of its own, so a case may let time pass without disturbing another.
protocol BrokerUnderTest: Sendable {
    /// A new connection to the broker, with nothing declared on it.
    func connect() -> any Transport

    /// Lets this much time pass at the broker.
    func pass(_ time: Duration) async throws

    /// Lets a moment pass in which the broker can do what it has to do: for loops that wait for something.
    ///
    /// - Parameter attempt: How often the loop has waited before.
    /// - Returns: Whether it is worth to go on waiting.
    func pause(attempt: Int) async throws -> Bool

    /// Starts or ends an alarm of memory, which stops publishers.
    func setAlarm(_ isOn: Bool) async throws

    /// Closes all connections as an operator does; clients may come back.
    func closeConnections() async throws
}
