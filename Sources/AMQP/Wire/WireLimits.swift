/// Limits on a field table, so that foreign bytes can exhaust neither stack nor memory.
///
/// Tables that a program builds itself stay far below the defaults.
package struct WireLimits: Sendable, Hashable {
    /// The greatest depth to which arrays and tables may be nested; the outermost table is at depth 1.
    package var depth: Int
    /// The greatest number of entries and array elements, over all levels together.
    package var values: Int

    /// Limits by their numbers.
    package init(depth: Int = 32, values: Int = 65_536) {
        self.depth = depth
        self.values = values
    }

    /// 32 levels and 65,536 values.
    package static let standard = WireLimits()

    /// Enters a level of nesting; `self` holds what is left of the limits.
    mutating func enter() throws(WireFault) {
        guard depth > 0 else { throw WireFault("is nested more deeply than the limit allows.") }
        depth -= 1
    }

    mutating func leave() { depth += 1 }

    /// Takes the values of a table away, and returns true, if the table is within what is left.
    mutating func takes(_ extent: WireLimits) -> Bool {
        guard extent.depth <= depth, extent.values <= values else { return false }
        values -= extent.values
        return true
    }

    mutating func count() throws(WireFault) {
        guard values > 0 else { throw WireFault("exceeds the number of values that the limit allows.") }
        values -= 1
    }
}

/// A fault in bytes or values, with its place, which is collected on the way out of nested tables.
///
/// The place is composed only after a fault, so valid bytes pay nothing for it.
struct WireFault: Error {
    private(set) var place: String
    let reason: String

    init(_ reason: String) {
        place = ""
        self.reason = reason
    }

    /// This fault, seen from the table that holds the entry `name`.
    func inside(_ name: String) -> WireFault {
        var fault = self
        fault.place = place.isEmpty || place.hasPrefix("[") ? name + place : "\(name).\(place)"
        return fault
    }

    /// This fault, seen from the array that holds the element at `index`.
    func inside(_ index: Int) -> WireFault {
        inside("[\(index)]")
    }

    /// The error for the program: `subject` says what was being read or written.
    func error(_ code: AMQPError.Code, _ subject: String) -> AMQPError {
        AMQPError(code, place.isEmpty ? "\(subject): \(reason)" : "\(subject): field '\(place)': \(reason)")
    }
}
