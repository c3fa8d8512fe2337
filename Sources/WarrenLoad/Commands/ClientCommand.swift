import ArgumentParser

/// `warren-load client`: the client compared with C over the same library.
struct ClientCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "client",
        abstract: "Compares the RabbitMQ client with plain C over librabbitmq.",
        discussion: """
            publish         Persistent messages of 256 bytes to a quorum queue, each confirmed to its publisher, with \
            up to 1,000 awaiting their confirm. Warren has 1,000 tasks, each of which awaits every publish; C counts \
            outstanding messages.
            publish-serial  One publisher, which awaits the confirm of each message before it sends the next.
            …-on-executor   The same, with Warren's tasks on the executor of the publishing connection.
            consume         Delivery of the same number of messages, each settled individually by the consumer, with \
            at most 200 unsettled. Warren's client combines acknowledgements. C sends one for each message; as \
            consume-multiple it sends one for 50, which shows the gain from combining.

            rate    messages per second, from the first to the last one processed
            CPU     user and system time of the client's process per message, in microseconds
            noise   the difference between the best and the worst repetition, in percent of the median
            ratio   Warren's median divided by C's. Goals: publish at least 1.2 of C's rate with at most its CPU, \
            publish-serial at least 0.97 with at most 1.5 times its CPU, consume at least 0.9 of the rate of C's \
            consume-multiple.
            """
    )

    @OptionGroup var options: LoadOptions

    func run() throws {
        try ComparisonSeries(options).run([
            Comparison(.c(.publish), .warren(.publish), .warren(.publishOnExecutor)),
            Comparison(.c(.publishSerial), .warren(.publishSerial), .warren(.publishSerialOnExecutor)),
            Comparison(.c(.consume), .c(.consumeMultiple), .warren(.consume)),
        ])
    }
}
