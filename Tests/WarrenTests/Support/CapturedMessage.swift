import AMQP
import CeleryCaptures
import Foundation
import Testing

/// The messages of `Fixtures/celery-messages.json`.
enum CapturedMessage {
    /// - Parameter name: The capture's name.
    static func named(_ name: String) throws -> Message {
        let url = try #require(
            Bundle.module.url(forResource: "celery-messages", withExtension: "json", subdirectory: "Fixtures")
        )
        return try #require(try CeleryCaptures.read(url)[name], "No such capture exists.")
    }
}
