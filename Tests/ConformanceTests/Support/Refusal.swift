import AMQP
import Testing

/// Expects the broker to refuse: with an error of this kind, AMQP's reply code, and these parts in its reply's text.
func expectRefusal(
    _ code: AMQPError.Code,
    _ replyCode: UInt16? = nil,
    saying parts: String...,
    sourceLocation: SourceLocation = #_sourceLocation,
    by body: () async throws -> Void
) async {
    do {
        try await body()
        Issue.record("a refusal (\(code)) was expected, and none came", sourceLocation: sourceLocation)
    } catch let error as AMQPError {
        #expect(error.code == code, "\(error)", sourceLocation: sourceLocation)
        if let replyCode { #expect(error.reply?.code == replyCode, "\(error)", sourceLocation: sourceLocation) }
        let text = error.reply?.text ?? error.message
        for part in parts {
            #expect(text.contains(part), "the reply names \(part): \(text)", sourceLocation: sourceLocation)
        }
    } catch {
        Issue.record("an AMQPError was expected: \(error)", sourceLocation: sourceLocation)
    }
}
