import Foundation
import Warren

/// What a health file says about its worker.
struct HealthVerdict: Sendable, Hashable {
    var isLive: Bool
    /// The reason, in one line.
    var line: String

    /// Judges a health file's content.
    ///
    /// - Parameter data: The content; `nil` if there is no such file.
    /// - Parameter maximumAge: A file that is older was left by a worker that hangs or is gone.
    init(of data: Data?, at path: String, now: Date, maximumAge: Duration) {
        isLive = false
        guard let data else {
            line = "\(path): there is no such file: the worker has not started, or has ended."
            return
        }
        let decoder = JSONDecoder()
        decoder.dateDecodingStrategy = .iso8601
        guard let health = try? decoder.decode(WorkerHealth.self, from: data) else {
            line = "\(path): this is no health file."
            return
        }
        let age = now.timeIntervalSince(health.at)
        guard age <= maximumAge / .seconds(1) else {
            line = "\(path): the file is \(Int(age)) s old: the worker hangs, or has ended without removing it."
            return
        }
        isLive = health.isLive
        let summary = health.problems.isEmpty ? "The worker takes jobs." : health.problems.joined(separator: " ")
        line = "\(path): \(health.worker) is \(health.isLive ? "live" : "not live"). \(summary)"
    }
}
