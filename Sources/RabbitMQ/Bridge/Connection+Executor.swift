extension Connection {
    /// The connection's thread is its executor.
    ///
    /// The actor keeps the thread alive, so the unowned reference is good as long as the actor.
    nonisolated var unownedExecutor: UnownedSerialExecutor { unsafe thread.asUnownedSerialExecutor() }
}
