import Foundation
import Synchronization

/// The ledger of a running experiment, with the journals that feed it.
final class LedgerBook: Sendable {
    private let ledger = Mutex(Ledger())
    private let journals: Mutex<JournalReader>

    init(folder: URL) { journals = Mutex(JournalReader(folder: folder)) }

    /// Reads or changes the ledger.
    func with<Value: Sendable>(_ body: (inout sending Ledger) -> sending Value) -> Value { ledger.withLock(body) }

    /// Takes in what workers have written since the last time.
    func readJournals() throws {
        try journals.withLock { journals in
            try journals.read { line, worker in ledger.withLock { $0.add(line, by: worker) } }
        }
    }
}
