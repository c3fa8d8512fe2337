package import AMQP
package import Foundation

/// Messages as Celery sent them, read from a file such as `Tests/WarrenTests/Fixtures/celery-messages.json`.
package enum CeleryCaptures {
    /// The messages of a file by their names.
    package static func read(_ file: URL) throws -> [String: Message] {
        try JSONDecoder().decode([String: Captured].self, from: Data(contentsOf: file)).mapValues(\.message)
    }

    private struct Captured: Decodable {
        struct Properties: Decodable {
            var contentType: String?
            var contentEncoding: String?
            var headers: [String: Field]
            var deliveryMode: UInt8?
            var priority: UInt8?
            var correlationID: String?
            var replyTo: String?
            var expiration: String?

            enum CodingKeys: String, CodingKey {
                case headers
                case priority
                case expiration
                case contentType = "content_type"
                case contentEncoding = "content_encoding"
                case deliveryMode = "delivery_mode"
                case correlationID = "correlation_id"
                case replyTo = "reply_to"
            }
        }

        var properties: Properties
        var body: String?
        var bodyBase64: Data?

        enum CodingKeys: String, CodingKey {
            case properties
            case body
            case bodyBase64 = "body_base64"
        }

        var message: Message {
            var result = BasicProperties()
            result.contentType = properties.contentType
            result.contentEncoding = properties.contentEncoding
            result.deliveryMode = properties.deliveryMode.map(DeliveryMode.init(rawValue:))
            result.priority = properties.priority
            result.correlationID = properties.correlationID
            result.replyTo = properties.replyTo
            result.expiration = properties.expiration
            var headers = FieldTable()
            // In one order each time: a dictionary has another in each process.
            for (name, field) in properties.headers.sorted(by: { $0.key < $1.key }) { headers[name] = field.value }
            result.headers = headers
            return Message(properties: result, body: bodyBase64.map { [UInt8]($0) } ?? [UInt8]((body ?? "").utf8))
        }
    }

    /// A field as the captures have it: `[letter, value]`.
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
