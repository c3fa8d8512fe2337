/// What the verdict needs to know of a dead letter.
struct DeadJob {
    var job: String
    var failures: Int
    /// When it died, in seconds since 1970.
    var at: Double?
}
