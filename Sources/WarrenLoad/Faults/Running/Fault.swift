/// A fault, and the experiment that shows what it does.
protocol Fault: Sendable {
    /// Its name on the command line and in the report.
    var name: String { get }
    /// What is done, in the words of the README's table.
    var summary: String { get }

    /// Makes the experiment.
    func run(_ context: FaultContext) async throws -> FaultReport
}
