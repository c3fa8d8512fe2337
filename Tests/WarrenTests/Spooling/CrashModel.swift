import Testing

@testable import Warren

/// A spool's log and a model of its content: random steps, and a crash that damages any part of what was not
/// synchronized.
struct CrashModel {
    private let limit: Int
    private var storage = MemoryStorage()
    private var log: SpoolLog
    /// The entries that callers know to be durable and the broker doesn't have, by age.
    private var owed: [UInt8] = []
    /// The entries that the broker has.
    private var confirmed: Set<UInt8> = []
    /// The entries of appends that failed or never returned.
    private var unacknowledged: Set<UInt8> = []
    private var nextNumber: UInt8 = 1
    private(set) var problem: String?

    init(limit: Int) throws {
        self.limit = limit
        log = try SpoolLog(storage, limit: limit, newSalt: 99, quarantineName: "quarantine")
    }

    mutating func step(_ random: inout some RandomNumberGenerator) throws {
        switch Int.random(in: 0..<10, using: &random) {
        case 0..<5: append(&random)
        case 5..<8: settle(&random)
        case 8: try crash(&random)
        default:
            storage.setRoom(Int.random(in: 0..<200, using: &random))
            append(&random)
            storage.setRoom(nil)
        }
    }

    private mutating func append(_ random: inout some RandomNumberGenerator) {
        let numbers = (0..<Int.random(in: 1...4, using: &random)).map { nextNumber &+ UInt8($0) }
        nextNumber &+= UInt8(numbers.count)
        let payloads = numbers.map { [UInt8](repeating: $0, count: Int.random(in: 1...300, using: &random)) }
        for (number, result) in zip(numbers, log.append(payloads)) {
            if case .success = result { owed.append(number) } else { unacknowledged.insert(number) }
        }
    }

    private mutating func settle(_ random: inout some RandomNumberGenerator) {
        guard let batch = try? log.next(Int.random(in: 1...4, using: &random), bytes: .max) else { return }
        let chosen = batch.filter { _ in Bool.random(using: &random) }
        for (_, payload) in chosen {
            confirmed.insert(payload[0])
            owed.removeAll { $0 == payload[0] }
        }
        try? log.settle(Set(chosen.map(\.sequence)))
    }

    /// Ends the process, perhaps during one more append, with any part of what was not synchronized on the disk; then
    /// reopens the log.
    mutating func crash(_ random: inout some RandomNumberGenerator) throws {
        var bytes = storage.now.log
        if Bool.random(using: &random) {
            let number = nextNumber
            nextNumber &+= 1
            unacknowledged.insert(number)
            let payload = [UInt8](repeating: number, count: Int.random(in: 1...300, using: &random))
            bytes += log.index.records(of: [payload]).bytes
        }
        let start = min(storage.now.durable.count, storage.now.lastWrite?.lowerBound ?? storage.now.durable.count)
        if start < bytes.count {
            if Bool.random(using: &random) {
                bytes.removeSubrange(Int.random(in: start...bytes.count, using: &random)...)
            } else {
                bytes[Int.random(in: start..<bytes.count, using: &random)] ^=
                    1 << UInt8.random(in: 0..<8, using: &random)
            }
        }
        storage = MemoryStorage(bytes)
        log = try SpoolLog(storage, limit: limit, newSalt: 99, quarantineName: "quarantine")
        let found = try log.next(.max, bytes: .max).map { $0.payload[0] }
        // Entries may be sent again, but not lost or out of order.
        if found.filter({ !confirmed.contains($0) && !unacknowledged.contains($0) }) != owed {
            problem = problem ?? "owed \(owed), found \(found)"
        }
        if zip(found, found.dropFirst()).contains(where: { $0 >= $1 }) { problem = problem ?? "out of order: \(found)" }
        owed = found
        confirmed.subtract(found)
        unacknowledged.subtract(found)
    }
}
