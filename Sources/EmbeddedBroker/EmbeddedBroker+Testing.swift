package import AMQP

/// What the tools for testing look at.
extension EmbeddedBroker {
    /// How many consumers a queue has.
    package func consumerCount(of queue: String) -> Int {
        core.read { machine in
            guard let id = machine.queueIDs[queue] else { return 0 }
            return machine.queues[id]?.status.consumerCount ?? 0
        }
    }

    /// How many deliveries of all queues are unsettled.
    package var unsettledCount: Int { core.read(\.unsettledCount) }

    /// How many channels are open: one for each consumer, and one for the gets of each connection that has made any.
    ///
    /// A consumer that was cancelled keeps its channel until that is closed, so that its deliveries can be settled.
    package var channelCount: Int { core.read(\.channels.count) }

    /// The ready messages of a queue, with where they were published to.
    package func storedMessages(in queue: String) -> [(message: Message, destination: Destination)] {
        core.read { machine in
            guard let id = machine.queueIDs[queue], let found = machine.queues[id] else { return [] }
            var ready = found.ready
            var messages: [(Message, Destination)] = []
            while let message = ready.popFirst() {
                let delivered = message.delivered(from: found.settings.kind, machine.features)
                messages.append((delivered, message.content.destination))
            }
            return messages
        }
    }

    /// Whether no queue with consumers has anything ready, and no more than so many deliveries are unsettled.
    package func isQuiet(exceptFor unsettled: Int) -> Bool {
        core.read { machine in
            machine.unsettledCount <= unsettled
                && machine.queues.values.allSatisfy { $0.consumers.isEmpty || $0.ready.isEmpty }
        }
    }
}

extension BrokerMachine {
    fileprivate var unsettledCount: Int { channels.values.map(\.unsettled.count).reduce(0, +) }
}
