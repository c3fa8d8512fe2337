#if canImport(FoundationEssentials)
import FoundationEssentials
#else
import Foundation
#endif

/// A broker's time: how long after 1970 it is by the injected clock, and how to be called at a moment.
///
/// Absolute times can be kept over a restart, as a journal must.
struct BrokerTime: Sendable {
    let now: @Sendable () -> Duration
    /// Calls the action once, at the time or later; returns the way to cancel that.
    let wake: @Sendable (_ time: Duration, _ action: @escaping @Sendable () -> Void) -> @Sendable () -> Void

    init(_ clock: any Clock<Duration>) {
        switch clock {
        case let clock as VirtualClock: self.init(virtual: clock)
        // For the compiler to know the type: it is asked for the time with every call.
        case let clock as ContinuousClock: self.init(real: clock)
        default: self.init(real: clock)
        }
    }

    private init(virtual clock: VirtualClock) {
        let beginning = clock.beginning
        now = { beginning + clock.now.offset }
        wake = { time, action in
            let number = clock.schedule(at: VirtualClock.Instant(offset: time - beginning), action)
            return { clock.cancel(number) }
        }
    }

    private init(real clock: some Clock<Duration>) {
        let start = clock.now
        let wallTime = Duration.seconds(Date().timeIntervalSince1970)
        now = { wallTime + start.duration(to: clock.now) }
        wake = { time, action in
            // Unstructured: between calls nobody is there to wait for it. A broker has one at a time, and cancels it when it needs another.
            let timer = Task {
                try? await clock.sleep(until: start.advanced(by: time - wallTime), tolerance: nil)
                if !Task.isCancelled { action() }
            }
            return { timer.cancel() }
        }
    }
}
