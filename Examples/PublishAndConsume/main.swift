// The RabbitMQ client without the job framework: declare a queue, publish to it with confirms, consume and acknowledge.
import AMQP
import RabbitMQ

#if canImport(FoundationEssentials)
import FoundationEssentials
#else
import Foundation
#endif

let url = ProcessInfo.processInfo.environment["WARREN_BROKER_URL"] ?? "amqp://guest:guest@127.0.0.1:5672/%2f"
let client = try RabbitMQClient(url: url, connectionName: "publish-and-consume")

try await client.declare(QueueDeclaration("greetings", arguments: QueueArguments(.quorum)))
for name in ["Ada", "Grace", "Katherine"] {
    // Returns when the broker has the message on disk; throws if no queue takes it.
    try await client.publish(Message("Hello, \(name)!"), to: .queue("greetings"))
}

var remaining = 3
// The consumer ends when the loop is left.
for try await delivery in try await client.consume(queue: "greetings", prefetch: 10) {
    print(delivery.message.text ?? "(not text)")
    delivery.ack()
    remaining -= 1
    if remaining == 0 { break }
}
try await client.deleteQueue("greetings")
await client.close()
