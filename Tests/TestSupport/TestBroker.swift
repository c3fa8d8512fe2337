package import Foundation

/// The RabbitMQ that `./compose/test` started, by the variables it exported.
package enum TestBroker {
    /// The broker's URL; `nil` where none was started.
    package static let url = variable("WARREN_BROKER_URL")
    /// Its URL for TLS; `nil` where it was started without `--tls`.
    package static let tlsURL = variable("WARREN_BROKER_TLS_URL")
    /// The CA that signed its certificate.
    package static let authorityFile = variable("WARREN_BROKER_CA_FILE")
    /// The repository's root.
    package static let root = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
        .deletingLastPathComponent()

    /// A name that no other test uses.
    package static func uniqueName(_ purpose: String) -> String {
        "test-\(purpose)-\(String(UInt32.random(in: 0 ... .max), radix: 36))"
    }

    /// The value of an environment variable; `nil` if it is empty or not set.
    package static func variable(_ name: String) -> String? {
        ProcessInfo.processInfo.environment[name].flatMap { $0.isEmpty ? nil : $0 }
    }
}
