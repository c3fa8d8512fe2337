public import ArgumentParser
import Warren

#if canImport(FoundationEssentials)
import FoundationEssentials
#else
import Foundation
#endif

/// `dead`: lists, shows, replays and discards dead letters.
public struct DeadCommand<App: WarrenApplication>: AsyncParsableCommand {
    /// The command's name and help.
    public static var configuration: CommandConfiguration {
        CommandConfiguration(
            commandName: "dead",
            abstract: "Inspect, replay or discard jobs that failed for good.",
            discussion: """
                AMQP can't show a message without taking it from its queue. While one of these commands runs, nobody else sees \
                the messages that it has read; afterwards they return to the queue.
                """,
            subcommands: [
                DeadListCommand<App>.self, DeadShowCommand<App>.self, DeadReplayCommand<App>.self,
                DeadDiscardCommand<App>.self,
            ]
        )
    }

    /// Creates the command, for its parser.
    public init() {}
}

/// The options that select dead letters: those that meet every condition given.
struct DeadFilterOptions: ParsableArguments {
    @Option(name: .customLong("job"), help: ArgumentHelp("Only jobs of this name.", valueName: "name"))
    var jobName: String?

    @Option(
        help: ArgumentHelp(
            "Only jobs that died for this reason.",
            discussion: """
                attempts-exhausted, permanent, expired or crashed; the reason why a message is unreadable, such as not-json; or, if \
                the broker moved it, broker-delivery_limit, broker-expired, broker-maxlen.
                """
        )
    )
    var reason: String?

    @Option(help: ArgumentHelp("Only jobs that died at least this long ago, such as 2d.", valueName: "duration"))
    var olderThan: DurationArgument?

    @Option(help: ArgumentHelp("Only jobs that died at most this long ago, such as 1h.", valueName: "duration"))
    var newerThan: DurationArgument?

    @Option(help: "Only jobs with this text in their name or error; case is ignored.")
    var text: String?

    /// True if no condition is given, so that all dead letters match.
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

/// The options that select the dead letters to replay or discard.
///
/// Selecting all of them needs `--all`.
struct DeadSelectionOptions: ParsableArguments {
    @Argument(help: "The id of a single job.")
    var id: String?
    @OptionGroup var filter: DeadFilterOptions
    @Flag(help: "Select all dead letters.")
    var all = false
    @Option(help: "The largest number of each queue.")
    var limit: Int?

    func validate() throws {
        guard id != nil || !filter.isEmpty || all else {
            throw ValidationError("Nothing is selected. Give a job's id, a filter such as --reason, or --all.")
        }
        guard limit.map({ $0 > 0 }) ?? true else { throw ValidationError("The limit must be at least 1.") }
    }

    func filter(now: Date) -> DeadLetterFilter { filter.filter(id: id, now: now) }
}
