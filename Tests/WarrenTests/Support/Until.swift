/// Lets other tasks go on until a condition holds; ends early, with an error, if the test is cancelled for its time limit.
func until(_ condition: () -> Bool) async throws {
    while !condition() {
        try Task.checkCancellation()
        await Task.yield()
    }
}
