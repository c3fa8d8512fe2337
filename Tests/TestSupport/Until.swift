/// Lets other tasks go on until a condition holds that can only be asked for; ends early, with an error, if the test is cancelled for its time
/// limit.
package func until(_ condition: () async throws -> Bool) async throws {
    while try await !condition() {
        try Task.checkCancellation()
        await Task.yield()
    }
}
