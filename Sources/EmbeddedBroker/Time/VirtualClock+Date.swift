#if canImport(FoundationEssentials)
public import FoundationEssentials
#else
public import Foundation
#endif

extension VirtualClock {
    /// The wall-clock time: for what compares dates, such as a worker's `now`.
    public var date: Date {
        // Not the quotient of two durations, which isn't exact for whole seconds.
        let time = (beginning + now.offset).components
        return Date(timeIntervalSince1970: Double(time.seconds) + Double(time.attoseconds) * 1e-18)
    }
}
