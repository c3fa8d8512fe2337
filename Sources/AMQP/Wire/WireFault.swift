/// What is wrong with some bytes or values, and where, collected on the way out of nested tables.
///
/// Names are put together only when something is wrong: the way of good bytes costs nothing for it.
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
