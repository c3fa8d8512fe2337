/// The broker closes the channels on which it delivers.
struct ChannelError: Fault {
    let name = "channel-error"
    let summary = "channel error on every consumer's channel, several times"

    func run(_ context: FaultContext) async throws -> FaultReport {
        try await NetworkFault(name: name) { experiment, proxy in
            for _ in 0..<context.size(short: 3, long: 10) {
                proxy.injectChannelErrors()
                experiment.mark()
                try await experiment.waitForJobs(context.size(short: 100, long: 1_000))
            }
        }
        .run(context)
    }
}
