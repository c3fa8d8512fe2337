import Foundation

/// A moment: the time on the clock, and the processor time that this process has used so far in all its threads.
struct Stopwatch {
    let wall = ContinuousClock.now
    let cpu = Duration.microseconds(Int64(clock()) * 1_000_000 / Int64(CLOCKS_PER_SEC))
}
