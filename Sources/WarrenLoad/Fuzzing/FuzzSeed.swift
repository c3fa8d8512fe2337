import AMQP
import Foundation
import Warren

/// A real message, as bytes: what mutations begin with.
struct FuzzSeed: Sendable {
    /// The properties as they are in a content header.
    var properties: [UInt8]
    var body: [UInt8]

    init(_ message: Message) throws {
        properties = try message.properties.encoded()
        body = message.body
    }

    /// Messages as Celery sent them, from a file of captures, and messages of our own.
    static func all(captures file: String) throws -> [FuzzSeed] {
        let decoder = JSONDecoder()
        decoder.keyDecodingStrategy = .convertFromSnakeCase
        let captures = try decoder.decode([String: Capture].self, from: Data(contentsOf: URL(filePath: file)))
        let own = try FuzzJob.samples.map { try Envelope(encoding: $0, now: Date(timeIntervalSince1970: 1.8e9)) }
        let failed = own.map { $0.retried(after: .seconds(7), error: LoadError("no"), worker: "w", now: Date()) }
        let messages = captures.sorted { $0.key < $1.key }.map(\.value.message) + own.map(\.message) + failed
        return try messages.map { try FuzzSeed($0) }
    }

    /// A message as `Tests/WarrenTests/Fixtures/celery-messages.json` has it.
    private struct Capture: Decodable {
        struct Properties: Decodable {
            var contentType: String?
            var contentEncoding: String?
            var correlationId: String?
            var replyTo: String?
            var headers: [String: Field]
        }

        var properties: Properties
        var body: String?
        var bodyBase64: Data?

        var message: Message {
            var result = BasicProperties()
            result.contentType = properties.contentType
            result.contentEncoding = properties.contentEncoding
            result.correlationID = properties.correlationId
            result.replyTo = properties.replyTo
            result.deliveryMode = .persistent
            var headers = FieldTable()
            // In one order each time: a dictionary has another in each process.
            for (name, field) in properties.headers.sorted(by: { $0.key < $1.key }) { headers[name] = field.value }
            result.headers = headers
            return Message(properties: result, body: bodyBase64.map { [UInt8]($0) } ?? Array((body ?? "").utf8))
        }
    }

    /// A header as `[letter, value]`.
    private struct Field: Decodable {
        var value: FieldValue

        init(from decoder: any Decoder) throws {
            var pair = try decoder.unkeyedContainer()
            switch try pair.decode(String.self) {
            case "S": value = .string(try pair.decode(String.self))
            case "I": value = .int32(try pair.decode(Int32.self))
            case "l", "L": value = .int64(try pair.decode(Int64.self))
            case "d": value = .double(try pair.decode(Double.self))
            case "t": value = .bool(try pair.decode(Bool.self))
            case "T": value = .timestamp(try pair.decode(UInt64.self))
            case "A": value = .array(try pair.decode([Field].self).map(\.value))
            case "F":
                let table = try pair.decode([String: Field].self).sorted { $0.key < $1.key }
                value = .table(table.reduce(into: FieldTable()) { $0[$1.key] = $1.value.value })
            default: value = .void
            }
        }
    }
}

/// Any keyword arguments, however they are nested.
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

/// A job with a payload of every kind, down to one that holds itself.
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
