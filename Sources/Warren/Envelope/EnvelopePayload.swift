import AMQP

#if canImport(FoundationEssentials)
import FoundationEssentials
#else
import Foundation
#endif

extension Envelope {
    /// Decodes the payload: the job's keyword arguments as a value.
    ///
    /// A `Date` in it may have any format of Celery's times; `NaN` and `Infinity`, which Python writes bare, are
    /// accepted too.
    ///
    /// - Throws: ``EnvelopeError`` with `notJSON`, `tooDeep`, `notThreeParts`, `positionalArguments` or
    ///   `payloadMismatch`.
    public func payload<Payload: Decodable>(as type: Payload.Type) throws(EnvelopeError) -> Payload {
        try checkNesting()
        // Our own bodies always have the same frame. If its content is one JSON value, the whole body is valid; if it
        // isn't, decoding the whole body finds out what is wrong.
        if let kwargs = EnvelopeBody.payload(of: message.body),
            let payload = try? PayloadDecoding.decoder.decode(type, from: Data(kwargs))
        {
            return payload
        }
        do {
            return try PayloadDecoding.decoder.decode(EnvelopeBody.Parts<Payload>.self, from: Data(message.body)).kwargs
        } catch let error as EnvelopeError {
            throw error
        } catch {
            return try lenientPayload(as: type)
        }
    }

    private func checkNesting() throws(EnvelopeError) {
        switch JSONNesting.scan(message.body, limit: Envelope.maximumBodyDepth) {
        case .fits: break
        case .tooDeep:
            throw EnvelopeError(.tooDeep, "The body is nested more than \(Envelope.maximumBodyDepth) levels deep.")
        case .notJSON: throw EnvelopeError(.notJSON, "The body is not JSON.")
        }
    }

    /// Decodes with JSON5, which has the numbers that Python's `json` writes and JSON doesn't have.
    private func lenientPayload<Payload: Decodable>(as type: Payload.Type) throws(EnvelopeError) -> Payload {
        let notJSON = EnvelopeError(.notJSON, "The body is not JSON.")
        // Foundation's decoder of JSON5 traps on bytes that aren't UTF-8 (seen with Swift 6.3.1).
        guard EnvelopeBody.mayHoldPythonNumbers(message.body), message.text != nil else { throw notJSON }
        do {
            return try PayloadDecoding.lenientDecoder
                .decode(EnvelopeBody.Parts<Payload>.self, from: Data(message.body)).kwargs
        } catch let error as EnvelopeError {
            throw error
        } catch {
            throw notJSON
        }
    }
}

extension EnvelopeBody {
    /// Returns whether the bytes `NaN` or `Infinity` occur anywhere.
    fileprivate static func mayHoldPythonNumbers(_ body: [UInt8]) -> Bool {
        body.containsSequence(of: Array("NaN".utf8)) || body.containsSequence(of: Array("Infinity".utf8))
    }

    /// Decodes a whole body in one pass, and throws an error about the part that is wrong.
    fileprivate struct Parts<Kwargs: Decodable>: Decodable {
        let kwargs: Kwargs

        init(from decoder: any Decoder) throws {
            guard var parts = try? decoder.unkeyedContainer() else {
                throw EnvelopeError(.notThreeParts, "The body is not an array of three parts, [args, kwargs, embed].")
            }
            if let count = parts.count, count != 3 {
                throw EnvelopeError(
                    .notThreeParts,
                    "The body has \(count) parts; it must have three, [args, kwargs, embed]."
                )
            }
            guard let args = try? parts.nestedUnkeyedContainer() else {
                throw EnvelopeError(.notThreeParts, "The body's first part, the positional arguments, is not an array.")
            }
            guard args.isAtEnd else {
                throw EnvelopeError(
                    .positionalArguments,
                    """
                    The job was called with \(args.count.map(String.init) ?? "") positional arguments; it takes \
                    keyword arguments only.
                    """
                )
            }
            var probe = parts
            guard (try? probe.nestedContainer(keyedBy: PayloadDecoding.AnyKey.self)) != nil else {
                throw EnvelopeError(.notThreeParts, "The body's second part, the keyword arguments, is not an object.")
            }
            do {
                kwargs = try parts.decode(Kwargs.self)
            } catch {
                // The JSON is valid here, so any error is about a value. Foundation throws some (for a number that
                // doesn't fit) that are not a `DecodingError`.
                throw EnvelopeError(.payloadMismatch, PayloadDecoding.explain(error, droppingPath: 1))
            }
            guard (try? parts.nestedContainer(keyedBy: PayloadDecoding.AnyKey.self)) != nil else {
                throw EnvelopeError(.notThreeParts, "The body's third part, embed, is not an object.")
            }
        }
    }
}

extension [UInt8] {
    fileprivate func containsSequence(of pattern: [UInt8]) -> Bool {
        guard let first = pattern.first, count >= pattern.count else { return false }
        for start in 0...(count - pattern.count) where self[start] == first {
            if self[start..<(start + pattern.count)].elementsEqual(pattern) { return true }
        }
        return false
    }
}

/// Decodes payloads: dates from ISO 8601 text, data from base64, the rest as Foundation does.
///
/// Decoders keep nothing from one use to the next, so one of each serves all threads.
enum PayloadDecoding {
    fileprivate static let decoder = makeDecoder()

    /// Accepts the bare `NaN` and `Infinity` that Python writes.
    fileprivate static let lenientDecoder: JSONDecoder = {
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

    /// The bytes of a text, which must be a JSON object.
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

    /// Any object, whatever it contains.
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
    fileprivate struct AnyKey: CodingKey {
        let stringValue: String
        let intValue: Int? = nil
        init?(stringValue: String) { self.stringValue = stringValue }
        init?(intValue: Int) { nil }
    }

    /// A sentence about the place at which a value doesn't fit its type, without the value.
    fileprivate static func explain(_ error: any Error, droppingPath dropped: Int) -> String {
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

/// The nesting depth of JSON, checked without recursion before a decoder sees it.
private enum JSONNesting {
    /// The result of a scan.
    enum Finding: Equatable {
        case fits
        case tooDeep
        /// A quote or comment of JSON5, in which brackets could hide, or a string without an end.
        case notJSON
    }

    /// Checks for more than `limit` levels of arrays and objects.
    static func scan(_ body: [UInt8], limit: Int) -> Finding {
        var depth = 0
        var isInString = false
        var isEscaped = false
        for byte in body {
            if isInString {
                if isEscaped {
                    isEscaped = false
                } else if byte == UInt8(ascii: "\\") {
                    isEscaped = true
                } else if byte == UInt8(ascii: "\"") {
                    isInString = false
                }
                continue
            }
            switch byte {
            case UInt8(ascii: "\""): isInString = true
            case UInt8(ascii: "["), UInt8(ascii: "{"):
                depth += 1
                if depth > limit { return .tooDeep }
            case UInt8(ascii: "]"), UInt8(ascii: "}"): depth -= 1
            case UInt8(ascii: "'"), UInt8(ascii: "/"): return .notJSON
            default: break
            }
        }
        return isInString ? .notJSON : .fits
    }
}
