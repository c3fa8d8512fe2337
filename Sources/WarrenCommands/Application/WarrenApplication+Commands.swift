public import ArgumentParser

extension WarrenApplication {
    /// The commands that every application gets.
    public static var standardCommands: [any ParsableCommand.Type] {
        [
            WorkerCommand<Self>.self,
            EnqueueCommand<Self>.self,
            StatusCommand<Self>.self,
            TopologyCommand<Self>.self,
            DeadCommand<Self>.self,
            DoctorCommand<Self>.self,
            HealthCommand.self,
        ]
    }

    /// The standard commands and the application's own, which come first.
    ///
    /// A standard command gives way to an own one of the same name.
    public static func commands(with own: [any ParsableCommand.Type]) -> [any ParsableCommand.Type] {
        let taken = Set(own.map { $0.name })
        return own + standardCommands.filter { !taken.contains($0.name) }
    }

    /// The standard commands, under the name of the application's type.
    public static var configuration: CommandConfiguration { CommandConfiguration(subcommands: standardCommands) }
}

extension ParsableCommand {
    fileprivate static var name: String { configuration.commandName ?? _commandName }
}
