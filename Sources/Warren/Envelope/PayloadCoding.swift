#if canImport(FoundationEssentials)
import FoundationEssentials
#else
import Foundation
#endif

/// How payloads become JSON and back: dates as ISO 8601 text, data as base64, the rest as Foundation has it.
///
/// Encoders and decoders keep nothing from one use to the next, so one of each serves all threads.
enum PayloadCoding {
    static let encoder: JSONEncoder = {
        let encoder = JSONEncoder()
        encoder.outputFormatting = .withoutEscapingSlashes
        encoder.dateEncodingStrategy = .custom { date, encoder in
            var container = encoder.singleValueContainer()
            try container.encode(WireTime.text(date))
        }
        return encoder
    }()

    static let decoder = makeDecoder()

    /// Takes the bare `NaN` and `Infinity` that Python writes.
    static let lenientDecoder: JSONDecoder = {
        let decoder = makeDecoder()
        decoder.allowsJSON5 = true
        return decoder
    }()

    private static func makeDecoder() -> JSONDecoder {
        let decoder = JSONDecoder()
        decoder.dateDecodingStrategy = .custom { decoder in
            let container = try decoder.singleValueContainer()
            guard let date = WireTime.date(try container.decode(String.self)) else {
                throw DecodingError.dataCorruptedError(in: container, debugDescription: "Not an ISO 8601 time.")
            }
            return date
        }
        return decoder
    }

    /// Checks that a text is a JSON object, and gives its bytes.
    ///
    /// - Throws: `payloadNotEncodable`.
    static func object(_ json: String, job: String) throws(WarrenError) -> Data {
        let data = Data(json.utf8)
        do {
            _ = try decoder.decode(AnyObject.self, from: data)
        } catch {
            let problem = error is AnyObject.Mismatch ? "is JSON, but not an object" : "is not JSON"
            throw WarrenError(
                .payloadNotEncodable,
                "The payload of the job '\(job.truncated(toBytes: 80))' \(problem)."
            )
        }
        return data
    }

    /// Any object, whatever is in it.
    private struct AnyObject: Decodable {
        struct Mismatch: Error {}

        init(from decoder: any Decoder) throws {
            do {
                _ = try decoder.container(keyedBy: AnyKey.self)
            } catch {
                throw Mismatch()
            }
        }
    }

    /// Any key of an object.
    struct AnyKey: CodingKey {
        let stringValue: String
        let intValue: Int? = nil
        init?(stringValue: String) { self.stringValue = stringValue }
        init?(intValue: Int) { nil }
    }

    /// Says in a sentence where a value doesn't fit its type, without showing the value.
    static func explain(_ error: any Error, droppingPath dropped: Int) -> String {
        func place(_ path: [any CodingKey]) -> String {
            let path = path.dropFirst(dropped).map { $0.intValue.map { "[\($0)]" } ?? $0.stringValue }
            return path.isEmpty
                ? "The payload" : "The argument '\(path.joined(separator: ".").truncated(toBytes: 200))'"
        }
        switch error as? DecodingError {
        case .keyNotFound(let key, let context):
            let path = context.codingPath + [key]
            return "\(place(path)) is missing."
        case .typeMismatch(let type, let context):
            return "\(place(context.codingPath)) is not of the type \(type)."
        case .valueNotFound(let type, let context):
            return "\(place(context.codingPath)) is null, and must be of the type \(type)."
        case .dataCorrupted(let context):
            return "\(place(context.codingPath)) has a value that its type doesn't take."
        default:
            return "The payload has a value that its type doesn't take."
        }
    }
}
