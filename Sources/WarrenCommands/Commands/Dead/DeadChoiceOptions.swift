import ArgumentParser
import Warren

#if canImport(FoundationEssentials)
import FoundationEssentials
#else
import Foundation
#endif

/// Which dead letters are to be replayed or discarded.
///
/// All of them must be asked for.
struct DeadChoiceOptions: ParsableArguments {
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
