public import ArgumentParser
import Warren

#if canImport(FoundationEssentials)
import FoundationEssentials
#else
import Foundation
#endif

/// `dead`: the jobs that can't succeed.
public struct DeadCommand<App: WarrenApplication>: AsyncParsableCommand {
    public static var configuration: CommandConfiguration {
        CommandConfiguration(
            commandName: "dead",
            abstract: "Look at the jobs that can't succeed, put them back, or throw them away.",
            discussion: """
                AMQP can't look at a message without taking it: for as long as a command runs, nobody else sees what it has \
                looked at, and then it goes back.
                """,
            subcommands: [
                DeadListCommand<App>.self, DeadShowCommand<App>.self, DeadReplayCommand<App>.self,
                DeadDiscardCommand<App>.self,
            ]
        )
    }

    public init() {}
}

/// Which dead letters are meant: those to which all that is given applies.
struct DeadFilterOptions: ParsableArguments {
    @Option(name: .customLong("job"), help: ArgumentHelp("Only jobs of this name.", valueName: "name"))
    var jobName: String?

    @Option(
        help: ArgumentHelp(
            "Only those with this reason.",
            discussion: """
                attempts-exhausted, permanent, expired, crashed; why a message couldn't be read, such as not-json; or, where the \
                broker moved it, broker-delivery_limit, broker-expired, broker-maxlen.
                """
        )
    )
    var reason: String?

    @Option(help: ArgumentHelp("Only those that died so long ago or longer, such as 2d.", valueName: "duration"))
    var olderThan: DurationArgument?

    @Option(help: ArgumentHelp("Only those that died no longer ago than this, such as 1h.", valueName: "duration"))
    var newerThan: DurationArgument?

    @Option(help: "Only those with this text in their name or error, in capitals or not.")
    var text: String?

    /// True if nothing is given, so that all are meant.
    var isEmpty: Bool {
        jobName == nil && reason == nil && olderThan == nil && newerThan == nil && text == nil
    }

    func filter(id: String? = nil, now: Date) -> DeadLetterFilter {
        DeadLetterFilter(
            id: id,
            name: jobName,
            reason: reason.map(DeadReason.init(rawValue:)),
            diedBefore: olderThan.map { now.addingTimeInterval(-($0.duration / .seconds(1))) },
            diedSince: newerThan.map { now.addingTimeInterval(-($0.duration / .seconds(1))) },
            text: text
        )
    }
}

/// Which dead letters are to be replayed or discarded.
///
/// All of them must be asked for.
struct DeadSelectionOptions: ParsableArguments {
    @Argument(help: "The id of a job, to take that one only.")
    var id: String?
    @OptionGroup var filter: DeadFilterOptions
    @Flag(help: "All of them.")
    var all = false
    @Option(help: "How many at most of each queue.")
    var limit: Int?

    func validate() throws {
        guard id != nil || !filter.isEmpty || all else {
            throw ValidationError("Say which: a job's id, a filter such as --reason, or --all")
        }
        guard limit.map({ $0 > 0 }) ?? true else { throw ValidationError("The limit must be at least 1.") }
    }

    func filter(now: Date) -> DeadLetterFilter { filter.filter(id: id, now: now) }
}
