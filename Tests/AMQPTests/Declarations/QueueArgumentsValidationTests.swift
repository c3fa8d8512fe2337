import AMQP
import Testing

struct QueueArgumentsValidationTests {
    struct Example: Sendable, CustomTestStringConvertible {
        var testDescription: String
        var arguments: QueueArguments
        var words: [String]

        init(_ name: String, _ words: [String], _ kind: QueueKind?, _ configure: (inout QueueArguments) -> Void) {
            testDescription = name
            arguments = QueueArguments()
            arguments.kind = kind
            configure(&arguments)
            self.words = words
        }
    }

    static let wrongKind = [
        Example("priority on quorum", ["x-max-priority", "quorum queue", "one queue for each"], .quorum) {
            $0.maxPriority = 5
        },
        Example("priority on stream", ["x-max-priority", "stream queue"], .stream) { $0.maxPriority = 5 },
        Example("age on quorum", ["x-max-age", "for stream"], .quorum) { $0.maxAge = .seconds(1) },
        Example("age on classic", ["x-max-age", "classic queue"], .classic) { $0.maxAge = .seconds(1) },
        Example("segments on quorum", ["x-stream-max-segment-size-bytes"], .quorum) {
            $0.streamMaxSegmentSizeBytes = 9
        },
        Example("delivery limit on classic", ["x-delivery-limit", "for quorum"], .classic) { $0.deliveryLimit = 5 },
        Example("strategy on classic", ["x-dead-letter-strategy"], .classic) {
            $0.deadLetterExchange = "dead"
            $0.deadLetterStrategy = .atMostOnce
        },
        Example("TTL on stream", ["x-message-ttl", "maxAge"], .stream) { $0.messageTTL = .seconds(1) },
        Example("length on stream", ["x-max-length", "maxLengthBytes"], .stream) { $0.maxLength = 1 },
        Example("dead letters on stream", ["x-dead-letter-exchange"], .stream) { $0.deadLetterExchange = "dead" },
        Example("one consumer on stream", ["x-single-active-consumer"], .stream) { $0.singleActiveConsumer = true },
        Example("group on classic", ["x-quorum-initial-group-size"], .classic) { $0.quorumInitialGroupSize = 3 },
        Example("type among the others", ["x-max-priority", "quorum queue"], .classic) {
            $0.maxPriority = 5
            $0.other = ["x-queue-type": "quorum"]
        },
        Example("dead-lettering overflow on quorum", ["x-overflow", "reject-publish-dlx"], .quorum) {
            $0.overflow = .rejectPublishDLX
        },
    ]

    static let wrongValue = [
        Example("negative TTL", ["x-message-ttl", "-1"], .quorum) { $0.messageTTL = .seconds(-1) },
        Example("TTL of eleven years", ["x-message-ttl"], .quorum) { $0.messageTTL = .seconds(11 * 365 * 86_400) },
        Example("TTL of half a millisecond", ["x-message-ttl", "finer"], .quorum) {
            $0.messageTTL = .microseconds(500)
        },
        Example("expiry of nothing", ["x-expires"], nil) { $0.expires = .zero },
        Example("expiry with microseconds", ["x-expires", "finer"], nil) { $0.expires = .microseconds(1001) },
        Example("negative consumer timeout", ["x-consumer-timeout"], .quorum) { $0.consumerTimeout = .seconds(-1) },
        Example("age of half a second", ["x-max-age"], .stream) { $0.maxAge = .milliseconds(500) },
        Example("age with milliseconds", ["x-max-age", "finer"], .stream) { $0.maxAge = .milliseconds(1500) },
        Example("negative length", ["x-max-length is -1"], nil) { $0.maxLength = -1 },
        Example("negative bytes", ["x-max-length-bytes is -1"], nil) { $0.maxLengthBytes = -1 },
        Example("delivery limit of -2", ["x-delivery-limit is -2", "-1 or more"], .quorum) { $0.deliveryLimit = -2 },
        Example("no priority", ["x-max-priority is 0", "1 to 255"], .classic) { $0.maxPriority = 0 },
        Example("256 priorities", ["x-max-priority is 256"], .classic) { $0.maxPriority = 256 },
        Example("huge segments", ["x-stream-max-segment-size-bytes"], .stream) {
            $0.streamMaxSegmentSizeBytes = 3_000_000_001
        },
        Example("no group", ["x-quorum-initial-group-size"], .quorum) { $0.quorumInitialGroupSize = 0 },
        Example("at least once without overflow", ["x-dead-letter-strategy", "rejectPublish"], .quorum) {
            $0.deadLetterExchange = "dead"
            $0.deadLetterStrategy = .atLeastOnce
        },
        Example("at least once with drop-head", ["x-dead-letter-strategy", "rejectPublish"], .quorum) {
            $0.deadLetterExchange = "dead"
            $0.deadLetterStrategy = .atLeastOnce
            $0.overflow = .dropHead
        },
        Example("at least once to nowhere", ["x-dead-letter-strategy", "no dead-letter exchange"], .quorum) {
            $0.deadLetterStrategy = .atLeastOnce
            $0.overflow = .rejectPublish
        },
        Example("dead-letter key without exchange", ["x-dead-letter-routing-key"], .quorum) {
            $0.deadLetterRoutingKey = "k"
        },
        Example("dead-letter exchange of 256 bytes", ["dead-letter exchange", "256"], .quorum) {
            $0.deadLetterExchange = String(repeating: "d", count: 256)
        },
    ]

    @Test(arguments: wrongKind + wrongValue)
    func `Wrong arguments are refused with the argument, the reason and what to do`(_ example: Example) throws {
        let error = try #require(throws: AMQPError.self) { try example.arguments.validate() }
        #expect(error.code == .invalidArgument)
        for words in example.words { #expect(error.message.contains(words), "\(error.message)") }
    }

    @Test func `The arguments of the topology's queues are accepted: jobs, dead letters, the ladder, control`() throws {
        try QueueArguments(.quorum) {
            $0.deadLetterExchange = "warren.dead"
            $0.deadLetterRoutingKey = "emails"
            $0.deadLetterStrategy = .atLeastOnce
            $0.overflow = .rejectPublish
            $0.deliveryLimit = 50
        }.validate()
        try QueueArguments(.quorum) {
            $0.messageTTL = .seconds(134_217_728)
            $0.deadLetterExchange = ""
            $0.deadLetterStrategy = .atLeastOnce
            $0.overflow = .rejectPublish
        }.validate()
        try QueueArguments(.stream) {
            $0.maxAge = .seconds(86_400)
            $0.maxLengthBytes = 1_000_000
        }.validate()
        try QueueArguments(.classic) { $0.maxPriority = 255 }.validate()
        try QueueArguments().validate()
        try QueueArguments(QueueKind(rawValue: "x-plug-in")) { $0.maxPriority = 5 }.validate()
        try QueueArguments(.quorum) { $0.other = ["x-max-priority": 5, "x-message-ttl": -1] }.validate()
    }
}
