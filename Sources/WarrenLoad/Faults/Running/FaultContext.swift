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
