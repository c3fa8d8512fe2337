import ArgumentParser
import Warren

#if canImport(FoundationEssentials)
import FoundationEssentials
#else
import Foundation
#endif

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
