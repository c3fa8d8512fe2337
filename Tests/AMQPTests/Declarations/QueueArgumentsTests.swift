import AMQP
import Testing

struct QueueArgumentsTests {
    @Test func `Arguments are sent under RabbitMQ's names, numbers with 64 bits`() {
        let quorum = QueueArguments(.quorum) {
            $0.messageTTL = .seconds(134_217_728)
            $0.expires = .milliseconds(1500)
            $0.maxLength = 10
            $0.maxLengthBytes = 20
            $0.overflow = .rejectPublish
            $0.deadLetterExchange = "dead"
            $0.deadLetterRoutingKey = "emails"
            $0.deadLetterStrategy = .atLeastOnce
            $0.deliveryLimit = -1
            $0.singleActiveConsumer = true
            $0.quorumInitialGroupSize = 3
            $0.consumerTimeout = .seconds(60)
        }
        #expect(
            quorum.arguments == [
                "x-queue-type": "quorum", "x-message-ttl": .int64(134_217_728_000), "x-expires": .int64(1500),
                "x-max-length": .int64(10), "x-max-length-bytes": .int64(20), "x-overflow": "reject-publish",
                "x-dead-letter-exchange": "dead", "x-dead-letter-routing-key": "emails",
                "x-dead-letter-strategy": "at-least-once", "x-delivery-limit": .int64(-1),
                "x-single-active-consumer": true, "x-quorum-initial-group-size": .int64(3),
                "x-consumer-timeout": .int64(60_000),
            ]
        )
        let classic = QueueArguments(.classic) { $0.maxPriority = 5 }
        #expect(classic.arguments == ["x-queue-type": "classic", "x-max-priority": .int64(5)])
        let stream = QueueArguments(.stream) {
            $0.maxAge = .seconds(3600)
            $0.streamMaxSegmentSizeBytes = 1000
        }
        #expect(
            stream.arguments
                == ["x-queue-type": "stream", "x-max-age": "3600s", "x-stream-max-segment-size-bytes": .int64(1000)]
        )
    }

    @Test func `Arguments of which none is set are an empty table`() {
        #expect(QueueArguments().arguments.isEmpty)
    }

    @Test func `The other arguments override the typed ones`() {
        let arguments = QueueArguments(.quorum) {
            $0.maxLength = 10
            $0.other = ["x-max-length": 20, "x-queue-leader-locator": "balanced"]
        }
        #expect(
            arguments.arguments
                == ["x-queue-type": "quorum", "x-max-length": 20, "x-queue-leader-locator": "balanced"]
        )
    }

    @Test func `Durations are rounded up to the broker's unit and stay within 64 bits`() {
        #expect(QueueArguments(.quorum) { $0.messageTTL = .microseconds(1) }.arguments["x-message-ttl"] == .int64(1))
        #expect(QueueArguments(.stream) { $0.maxAge = .milliseconds(1001) }.arguments["x-max-age"] == "2s")
        #expect(
            QueueArguments(.quorum) { $0.messageTTL = .seconds(Int64.max) }.arguments["x-message-ttl"] == .int64(.max)
        )
    }

    @Test func `A declaration by kind sets the kind and the limits`() {
        let queue = QueueDeclaration("greetings", kind: .quorum) { $0.deliveryLimit = 5 }
        #expect(
            queue
                == QueueDeclaration("greetings", arguments: QueueArguments(.quorum) { $0.deliveryLimit = 5 })
        )
        #expect(QueueDeclaration("greetings", kind: .classic).arguments == QueueArguments(.classic))
    }
}
