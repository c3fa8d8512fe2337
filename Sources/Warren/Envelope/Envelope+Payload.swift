import AMQP

#if canImport(FoundationEssentials)
import FoundationEssentials
#else
import Foundation
#endif

extension Envelope {
    /// The payload: the job's keyword arguments as a value.
    ///
    /// A `Date` in it may have any format of Celery's times; `NaN` and `Infinity`, which Python writes bare, are read too.
    ///
    /// - Throws: ``EnvelopeError`` with `notJSON`, `tooDeep`, `notThreeParts`, `positionalArguments` or `payloadMismatch`.
    public func payload<Payload: Decodable>(as type: Payload.Type) throws(EnvelopeError) -> Payload {
        try checkNesting()
        // Our own bodies have a frame that is always the same. If what stands inside it is one JSON value, the whole is what it should
        // be; if not, the reading of the whole says what is wrong.
        if let kwargs = EnvelopeBody.payload(of: message.body),
            let payload = try? PayloadCoding.decoder.decode(type, from: Data(kwargs))
        {
            return payload
        }
        do {
            return try PayloadCoding.decoder.decode(EnvelopeBody.Parts<Payload>.self, from: Data(message.body)).kwargs
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

    /// Python's `json` writes numbers that JSON doesn't have; JSON5 has them.
    private func lenientPayload<Payload: Decodable>(as type: Payload.Type) throws(EnvelopeError) -> Payload {
        let notJSON = EnvelopeError(.notJSON, "The body is not JSON.")
        guard EnvelopeBody.mayHoldPythonNumbers(message.body) else { throw notJSON }
        do {
            return try PayloadCoding.lenientDecoder
                .decode(EnvelopeBody.Parts<Payload>.self, from: Data(message.body)).kwargs
        } catch let error as EnvelopeError {
            throw error
        } catch {
            throw notJSON
        }
    }
}
