import AMQP

extension TimeLimits {
    /// The longest limit that is told apart from none at all: about 31 years.
    private static let longestOnWire = 1e9

    /// Reads Celery's `timelimit` header: an array of the hard and the soft limit in seconds, each null or 0 for none.
    ///
    /// What can't be read counts as no limit, so that those of the job's type hold.
    init(wire value: FieldValue?) {
        guard case .array(let items)? = value, items.count == 2 else {
            self = .none
            return
        }
        self.init(soft: Self.limit(items[1]), hard: Self.limit(items[0]))
    }

    private static func limit(_ value: FieldValue) -> Duration? {
        let seconds: Double
        switch value {
        case .void: return nil
        case .float(let number): seconds = Double(number)
        case .double(let number): seconds = number
        default: seconds = value.integerValue.map(Double.init) ?? 0
        }
        return seconds > 0 ? .seconds(min(seconds, longestOnWire)) : nil
    }

    /// The limits as Celery's header has them.
    var wire: FieldValue { .array([Self.value(hard), Self.value(soft)]) }

    /// Whole seconds as an integer, as Python sends them, where they fit.
    private static func value(_ limit: Duration?) -> FieldValue {
        guard let limit else { return .void }
        let (seconds, attoseconds) = limit.components
        return attoseconds == 0 && seconds <= Int64(Int32.max) ? .int32(Int32(seconds)) : .double(limit / .seconds(1))
    }
}
