/// The body `[args, kwargs, embed]`.
enum EnvelopeBody {
    /// What callbacks and chains a job has: none.
    static let embed = #"{"callbacks":null,"errbacks":null,"chain":null,"chord":null}"#

    private static let prefix = Array("[[],".utf8)
    private static let suffix = Array(",\(embed)]".utf8)

    /// A body with no positional arguments, `payload` as the keyword arguments, and an empty embed.
    static func make(payload: some Collection<UInt8>) -> [UInt8] {
        var body: [UInt8] = []
        body.reserveCapacity(prefix.count + payload.count + suffix.count)
        body.append(contentsOf: prefix)
        body.append(contentsOf: payload)
        body.append(contentsOf: suffix)
        return body
    }

    /// How long such a body is.
    static func size(payload: Int) -> Int { prefix.count + payload + suffix.count }

    /// What stands where the keyword arguments do, if the body has the frame that ``make(payload:)`` gives it.
    ///
    /// It need not be one value: `[[],1,2,{…}]` has the frame too.
    static func payload(of body: [UInt8]) -> ArraySlice<UInt8>? {
        guard body.count >= prefix.count + 2 + suffix.count else { return nil }
        let payload = body[prefix.count..<(body.count - suffix.count)]
        guard payload.first == UInt8(ascii: "{"), body[..<prefix.count].elementsEqual(prefix),
            body[payload.endIndex...].elementsEqual(suffix)
        else { return nil }
        return payload
    }

    /// True if the bytes `NaN` or `Infinity` occur anywhere.
    static func mayHoldPythonNumbers(_ body: [UInt8]) -> Bool {
        body.containsSequence(of: Array("NaN".utf8)) || body.containsSequence(of: Array("Infinity".utf8))
    }

    /// Reads a whole body in one pass, and says which part is wrong.
    struct Parts<Kwargs: Decodable>: Decodable {
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
                    "The job was called with \(args.count.map(String.init) ?? "") positional arguments; it takes keyword arguments only."
                )
            }
            var probe = parts
            guard (try? probe.nestedContainer(keyedBy: PayloadCoding.AnyKey.self)) != nil else {
                throw EnvelopeError(.notThreeParts, "The body's second part, the keyword arguments, is not an object.")
            }
            do {
                kwargs = try parts.decode(Kwargs.self)
            } catch {
                // The JSON is sound here, so whatever is thrown is about a value. Foundation throws some of it (a number that doesn't
                // fit) in a type of its own.
                throw EnvelopeError(.payloadMismatch, PayloadCoding.explain(error, droppingPath: 1))
            }
            guard (try? parts.nestedContainer(keyedBy: PayloadCoding.AnyKey.self)) != nil else {
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
