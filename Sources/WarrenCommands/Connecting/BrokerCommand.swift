public import ArgumentParser
public import Logging

/// A command that talks to the broker: an application's own commands can be ones too.
public protocol BrokerCommand: AsyncParsableCommand {
    /// Where the broker is, and how much to log.
    var brokerOptions: BrokerOptions { get }
    /// How much is logged where `--log-level` isn't given.
    static var standardLogLevel: Logger.Level { get }
}

extension BrokerCommand {
    /// Warnings and errors.
    public static var standardLogLevel: Logger.Level { .warning }

    var logLevel: Logger.Level { brokerOptions.logLevel ?? Self.standardLogLevel }
}
