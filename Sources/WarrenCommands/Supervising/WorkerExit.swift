/// The exit codes of `worker` that say more than that it failed.
enum WorkerExit {
    /// A job didn't end at its hard time limit, so the process did (`EX_TEMPFAIL` of sysexits.h).
    static let hardTimeLimit: Int32 = 75
    /// A supervised process did all that `--recycle-…` lets it do, and wants to be replaced.
    static let recycled: Int32 = 80
    /// The command line can't be understood (`EX_USAGE`); starting again doesn't change that.
    static let usage: Int32 = 64
}
