import AMQP
import Warren

#if canImport(FoundationEssentials)
import FoundationEssentials
#else
import Foundation
#endif

/// A dead letter as `dead list` and `dead show` print it.
struct DeadLetterReport: Encodable {
    /// One failure of its history.
    struct Failure: Encodable {
        let attempt: Int
        let time: Date?
        let worker: String?
        let errorType: String?
        let message: String?
    }

    let id: String?
    let name: String?
    let queue: String
    let reason: String?
    let errorType: String?
    let message: String?
    let details: String?
    let failures: Int
    let firstFailedAt: Date?
    let lastFailedAt: Date?
    let diedAt: Date?
    let originalExchange: String?
    let originalRoutingKey: String?
    let history: [Failure]
    /// The message's body as text; only `dead show` prints it.
    let body: String?

    init(_ letter: DeadLetter, showsBody: Bool = false) {
        let record = letter.record
        id = letter.id
        name = letter.name
        queue = letter.queue.rawValue
        reason = record.reason?.rawValue
        errorType = record.errorType
        message = record.message
        details = record.details
        failures = record.failures
        firstFailedAt = record.firstFailedAt
        lastFailedAt = record.lastFailedAt
        diedAt = record.deadAt
        originalExchange = record.originalExchange
        originalRoutingKey = record.originalRoutingKey
        history = record.history.map {
            Failure(
                attempt: $0.attempt,
                time: $0.time,
                worker: $0.worker,
                errorType: $0.errorType,
                message: $0.message
            )
        }
        body = showsBody ? String(decoding: letter.message.body, as: UTF8.self) : nil
    }
}

extension DeadLetterReport {
    /// A table of dead letters.
    static func table(_ reports: [DeadLetterReport], now: Date) -> String {
        var table = TextTable([
            ("ID", .left), ("JOB", .left), ("QUEUE", .left), ("REASON", .left), ("FAILURES", .right), ("AGE", .right),
            ("ERROR", .left),
        ])
        for report in reports {
            table.add([
                report.id ?? "?", report.name ?? "?", report.queue, report.reason ?? "?", "\(report.failures)",
                report.diedAt.map { Age.text(from: $0, to: now) } ?? "?", String((report.message ?? "").prefix(80)),
            ])
        }
        return table.text
    }

    /// Everything about one dead letter, one line for each property.
    func lines(now: Date) -> [String] {
        var lines: [(String, String?)] = [
            ("id", id), ("job", name), ("queue", queue), ("reason", reason),
            ("died", diedAt.map { "\(Self.text($0)), \(Age.text(from: $0, to: now)) ago" }),
            ("error", [errorType, message].compactMap(\.self).joined(separator: ": ")), ("details", details),
            ("came from", originalRoutingKey.map { "exchange '\(originalExchange ?? "")' with routing key '\($0)'" }),
            ("failures", "\(failures)"),
        ]
        for failure in history {
            let error = [failure.errorType, failure.message].compactMap(\.self).joined(separator: ": ")
            let place = [failure.time.map(Self.text), failure.worker].compactMap(\.self).joined(separator: " on ")
            lines.append(("attempt \(failure.attempt)", "\(place): \(error)"))
        }
        lines.append(("body", body))
        return lines.compactMap { label, value in
            guard let value, !value.isEmpty else { return nil }
            return label.padded(to: 11) + TextTable.printable(value)
        }
    }

    private static func text(_ date: Date) -> String { date.formatted(.iso8601) }
}

extension String {
    fileprivate func padded(to width: Int) -> String { self + String(repeating: " ", count: max(1, width - count)) }
}

/// The age of something, in the largest unit that fits.
enum Age {
    static func text(from date: Date, to now: Date) -> String {
        let seconds = Int(min(max(0, now.timeIntervalSince(date)), 1e12))
        switch seconds {
        case ..<60: return "\(seconds)s"
        case ..<3_600: return "\(seconds / 60)m"
        case ..<86_400: return "\(seconds / 3_600)h"
        default: return "\(seconds / 86_400)d"
        }
    }
}
