import ArgumentParser

/// `warren-load client`: the client beside C over the same library.
struct ClientCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "client",
        abstract: "Measures the RabbitMQ client beside plain C over librabbitmq.",
        discussion: """
            publish         Persistent messages of 256 bytes to a quorum queue, each confirmed to its publisher; 1,000 at a time wait for \
            their confirm. Warren has 1,000 tasks, each of which awaits every publish; C counts what is outstanding.
            publish-serial  One publisher that awaits the confirm of each message before it sends the next.
            consume         Delivery of as many messages, each settled singly by the consumer, 200 at most unsettled. Warren's client \
            joins the acknowledgements; C sends one for each, and as consume-multiple one for 50, which shows what joining can bring.

            rate    messages per second, from the first to the last one done
            CPU     user and system time of the client's process per message, in microseconds
            ratio   Warren's figure over C's, of the medians. Owed: publish and publish-serial at least 0.95 of C's rate, consume at \
            least 1.5 of it; CPU at most 13.9 (publish) and 11.7 (consume), which is what the Go client takes.
            """
    )

    @OptionGroup var options: LoadOptions

    func run() throws {
        try Series(options).run([
            Contest(.c(.publish), .warren(.publish)),
            Contest(.c(.publishSerial), .warren(.publishSerial)),
            Contest(.c(.consume), .c(.consumeMultiple), .warren(.consume)),
        ])
    }
}
