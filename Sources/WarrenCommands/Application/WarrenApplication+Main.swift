import ArgumentParser
import Logging

extension WarrenApplication {
    /// Parses the command line, sets up logging and runs the command.
    ///
    /// The process's exit code is 0 if the command did what it should, 1 if it failed, and 64 if the command line can't be understood. An
    /// error is one line on standard error.
    @concurrent
    public static func main() async {
        do {
            var command = try await asyncParseAsRoot(nil)
            bootstrapLogging(level: (command as? any BrokerCommand)?.logLevel ?? .warning)
            if var asynchronous = command as? any AsyncParsableCommand {
                try await asynchronous.run()
            } else {
                try command.run()
            }
        } catch {
            guard let line = ErrorLine.text(for: error) else { exit(withError: error) }
            Output.note("Error: \(line)")
            exit(withError: ExitCode.failure)
        }
    }
}
