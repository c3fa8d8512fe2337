import AMQP
import CeleryCaptures
import Foundation
import Warren

/// A real message in bytes, from which mutations start.
struct FuzzSeed: Sendable {
    /// The properties, encoded as a content header.
    var properties: [UInt8]
    var body: [UInt8]

    init(_ message: Message) throws {
        properties = try message.properties.encoded()
        body = message.body
    }

    /// Messages that Celery sent, from a file of captures, and messages of Warren.
    static func all(captures file: String) throws -> [FuzzSeed] {
        let captures = try CeleryCaptures.read(URL(filePath: file))
        let own = try FuzzJob.samples.map { try Envelope(encoding: $0, now: Date(timeIntervalSince1970: 1.8e9)) }
        let failed = own.map { $0.retried(after: .seconds(7), error: LoadError("no"), worker: "w", now: Date()) }
        let messages = captures.sorted { $0.key < $1.key }.map(\.value) + own.map(\.message) + failed
        return try messages.map { try FuzzSeed($0) }
    }
}

/// Any keyword arguments, however deeply nested.
enum AnyJSON: Decodable {
    case object([String: AnyJSON])
    case array([AnyJSON])
    case leaf

    init(from decoder: any Decoder) throws {
        let container = try decoder.singleValueContainer()
        if let object = try? container.decode([String: AnyJSON].self) {
            self = .object(object)
        } else if let array = try? container.decode([AnyJSON].self) {
            self = .array(array)
        } else {
            self = .leaf
        }
    }
}

/// A job with a payload of every kind, a recursive one included.
struct FuzzJob: Job {
    static let name = "fuzz.job"
    static let queue: QueueName = "fuzz"

    struct Tree: Codable {
        var children: [Tree]
    }

    var text: String
    var count: Int?
    var ratio: Double?
    var due: Date?
    var bytes: Data?
    var numbers: [String: [Int16]]?
    var tree: Tree?

    static let samples = [
        FuzzJob(text: "plain"),
        FuzzJob(
            text: #"quotes " and \ and ünï 👩‍👩‍👧"#,
            count: -3,
            ratio: 1e-7,
            due: Date(timeIntervalSince1970: 1.7e9),
            bytes: Data([0, 255, 7]),
            numbers: ["a": [1, -32_768], "": []],
            tree: Tree(children: [Tree(children: []), Tree(children: [Tree(children: [])])])
        ),
    ]
}
