import AMQP
import Testing

@testable import RabbitMQ

/// The declarations that are repeated after a lost connection.
struct DeclaredTopologyTests {
    private func exchange(_ name: String, isDurable: Bool = true) -> OutboundMethod {
        .declareExchange(ExchangeDeclaration(name, kind: .topic, isDurable: isDurable), passive: false)
    }

    private func queue(_ name: String, isExclusive: Bool = false) -> OutboundMethod {
        .declareQueue(QueueDeclaration(name, isExclusive: isExclusive), passive: false)
    }

    private func bind(_ source: String, _ queue: String) -> OutboundMethod {
        .bind(Binding(from: source, to: .queue(queue), routingKey: "#"))
    }

    @Test func `Durable queues and exchanges are declared again only when everything is`() {
        var declared = DeclaredTopology()
        let methods = [exchange("news"), queue("letters"), bind("news", "letters")]
        for method in methods { declared.note(method) }
        #expect(declared.transient.isEmpty)
        #expect(declared.all == methods)
    }

    @Test
    func `Queues and exchanges that are not durable are declared again with their bindings, in their original order`() {
        var declared = DeclaredTopology()
        declared.note(exchange("news"))
        declared.note(queue("letters"))
        declared.note(queue("mine", isExclusive: true))
        declared.note(exchange("gossip", isDurable: false))
        declared.note(bind("news", "letters"))
        declared.note(bind("news", "mine"))
        declared.note(bind("gossip", "letters"))
        #expect(
            declared.transient == [
                queue("mine", isExclusive: true), exchange("gossip", isDurable: false), bind("news", "mine"),
                bind("gossip", "letters"),
            ]
        )
    }

    @Test func `Queues and exchanges that were deleted or only inspected are not declared again`() {
        var declared = DeclaredTopology()
        for method in [
            exchange("news"), queue("letters"), queue("kept"), bind("news", "letters"), bind("news", "kept"),
        ] {
            declared.note(method)
        }
        declared.note(.declareQueue(QueueDeclaration("seen"), passive: true))
        declared.note(.deleteQueue("letters", ifUnused: false, ifEmpty: false))
        #expect(declared.all == [exchange("news"), queue("kept"), bind("news", "kept")])
        declared.note(.unbind(Binding(from: "news", to: .queue("kept"), routingKey: "#")))
        declared.note(.deleteExchange("news", ifUnused: false))
        #expect(declared.all == [queue("kept")])
    }

    @Test func `The number of declarations kept is limited`() {
        var declared = DeclaredTopology()
        for number in 0..<(DeclaredTopology.limit + 10) { declared.note(queue("q\(number)")) }
        #expect(declared.all.count == DeclaredTopology.limit)
    }
}
