package import Logging
package import Warren

/// A job for tests of workers: a number, by which a test recognises it.
package struct Probe: Job {
    package static let name = "tests.probe"
    package static let queue: QueueName = "probes"
    package static let retry: RetryPolicy = .fixed(.seconds(2), attempts: 3)

    package var number: Int

    package init(number: Int) { self.number = number }
}

/// A failure that a retry may cure.
package struct ProbeError: Error {
    package init() {}
}

extension Logger {
    /// A logger that discards everything.
    package static let quiet = Logger(label: "tests") { _ in SwiftLogNoOpLogHandler() }
}
