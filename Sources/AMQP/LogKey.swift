/// The keys of all log metadata, in one place so that every module uses the same ones.
package enum LogKey {
    // Jobs
    package static let job = "job"
    package static let jobID = "job-id"
    package static let attempt = "attempt"
    package static let queue = "queue"
    package static let lane = "lane"
    package static let worker = "worker"
    package static let outcome = "outcome"
    package static let crashes = "crashes"
    // Causes and measures
    package static let reason = "reason"
    package static let error = "error"
    package static let difference = "difference"
    package static let count = "count"
    package static let leftOut = "left-out"
    package static let failures = "failures"
    package static let delay = "delay"
    package static let duration = "duration"
    // Connections
    package static let connection = "connection"
    package static let endpoint = "endpoint"
    package static let state = "state"
    // Files
    package static let path = "path"
    package static let bytes = "bytes"
    package static let quarantinedTo = "quarantined-to"
    package static let lost = "lost"
    package static let waiting = "waiting"
    // Processes
    package static let process = "process"
    package static let signal = "signal"
    package static let exitCode = "exit-code"
}
