#if canImport(FoundationEssentials)
public import FoundationEssentials
#else
public import Foundation
#endif

extension VirtualClock {
    /// The wall-clock time: for what compares dates, such as a worker's `now`.
    public var date: Date {
        Date(timeIntervalSince1970: (beginning + now.offset) / .seconds(1))
    }
}
