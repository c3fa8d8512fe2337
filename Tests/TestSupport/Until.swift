/// Lets other tasks go on until a condition holds that can only be asked for; ends early, with an error, if the test is
/// cancelled for its time limit.
package func until(_ condition: () async throws -> Bool) async throws {
    var attempt = 0
    while try await !condition() {
        try Task.checkCancellation()
        attempt += 1
        // Other tasks of this process need only the thread. A process or a broker needs the processor, which asking
        // without a pause would take from it, and from the tests beside this one.
        if attempt < 100 {
            await Task.yield()
        } else {
            try await ContinuousClock().sleep(for: .milliseconds(min(attempt / 100, 10)))
        }
    }
}
