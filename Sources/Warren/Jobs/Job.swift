import AMQP

#if canImport(FoundationEssentials)
import FoundationEssentials
#else
import Foundation
#endif

/// A job: what is to be done, as a value that a service sends and a worker receives.
///
/// The stored properties are the payload. They must encode to a JSON object; its keys are the keyword arguments that a worker in
/// another language sees. Services and workers share the type; the handler is registered with the worker alone.
///
/// ```swift
/// struct SendEmail: Job {
///     static let name = "emails.send"
///     static let queue: QueueName = "emails"
///
///     var to: String
///     var subject: String
/// }
/// ```
///
/// Every job runs *at least* once: a worker that dies in mid-job gives it to another one. Write handlers so that a repetition does no harm.
public protocol Job: Codable, Sendable {
    /// The name on the wire, such as `emails.send`. It is explicit, so that renaming the type doesn't orphan jobs that wait.
    static var name: String { get }
    /// The queue the job goes to unless the caller of `enqueue` says otherwise.
    static var queue: QueueName { get }
    /// What happens after a failure. Default: 8 attempts, with growing random delays of up to 1 second, 2, 4, … at most 10 minutes.
    static var retry: RetryPolicy { get }
    /// The lane the job goes to unless the caller says otherwise. Default: ``Lane/normal``.
    static var lane: Lane { get }
    /// How long after it is due the job is still worth starting; `nil`, the default, for ever.
    static var timeToLive: Duration? { get }
    /// What happens to a job of this kind that expired before it was started. Default: ``ExpiryPolicy/keep``.
    static var expiryPolicy: ExpiryPolicy { get }
    /// How long one attempt may take. Default: ``TimeLimits/none``.
    static var timeLimits: TimeLimits { get }
}

extension Job {
    /// 8 attempts, with growing random delays.
    public static var retry: RetryPolicy { .standard }
    /// The normal lane.
    public static var lane: Lane { .normal }
    /// No expiry.
    public static var timeToLive: Duration? { nil }
    /// Kept in the dead queue.
    public static var expiryPolicy: ExpiryPolicy { .keep }
    /// No limits.
    public static var timeLimits: TimeLimits { .none }
}

/// What happens to a job that was not started before it expired.
///
/// It is always a worker that notices: Warren doesn't set AMQP's `expiration` property, with which the broker would drop a job that
/// nobody sees (or, on a queue with a dead-letter exchange, move it without a failure record; and in the delay ladder it would cut the
/// delay short). So every expired job is counted and logged, whatever the policy.
public struct ExpiryPolicy: Sendable, Hashable {
    let keepsJob: Bool

    /// The job goes to the queue's dead queue with the reason `expired`.
    public static let keep = ExpiryPolicy(keepsJob: true)
    /// The job is acknowledged and gone; a counter and a log line remain.
    public static let discard = ExpiryPolicy(keepsJob: false)
}

/// How long one attempt at a job may take.
///
/// At the *soft* limit the handler's task is cancelled, and the attempt has failed with ``JobTimeLimitExceeded``, whatever the handler
/// throws then; if it returns without throwing, it succeeded in spite of the cancellation. It relies on the handler to heed cancellation.
///
/// At the *hard* limit the attempt has failed whether the handler returns or not. A handler that doesn't can be ended only with its
/// process: so the worker makes the failure durable, hands back what it has not begun, lets other running jobs finish until the shutdown
/// deadline, and ends with ``WarrenError`` `hardTimeLimit`. Under `worker --processes` the supervisor then starts a new process.
///
/// After either, the job's ``RetryPolicy`` decides what comes next. A limit is kept by a task of the cooperative pool: handlers that
/// block all its threads hold up the limits too. Against those only a liveness probe helps.
public struct TimeLimits: Sendable, Hashable {
    /// When the handler is cancelled; `nil` for never.
    public var soft: Duration?
    /// When the handler is given up; `nil` for never.
    public var hard: Duration?

    /// Limits, of which either can be left out.
    public init(soft: Duration? = nil, hard: Duration? = nil) {
        self.soft = soft
        self.hard = hard
    }

    /// No limits.
    public static let none = TimeLimits()

    var isNone: Bool { soft == nil && hard == nil }

    /// How long an attempt can take as far as the limits tell; `nil` if they don't.
    ///
    /// A soft limit alone counts, because a handler that heeds it ends there.
    var longest: Duration? { hard ?? soft }

    /// These limits, each replaced by the other's where that has one.
    ///
    /// A soft limit that isn't below the hard one would never be reached, and is left out.
    func replaced(by other: TimeLimits) -> TimeLimits {
        var limits = TimeLimits(soft: other.soft ?? soft, hard: other.hard ?? hard)
        if let soft = limits.soft, let hard = limits.hard, soft >= hard { limits.soft = nil }
        return limits
    }

    /// Checks that limits are positive and the soft one is below the hard one.
    ///
    /// - Throws: ``WarrenError`` with `invalidConfiguration`, naming the job.
    func validate(job: String) throws(WarrenError) {
        let problem: String
        if let limit = [soft, hard].compactMap(\.self).first(where: { $0 <= .zero }) {
            problem = "is \(limit); it must be positive"
        } else if let soft, let hard, soft >= hard {
            problem = "is \(soft) to the soft one and \(hard) to the hard one; the soft one must be shorter"
        } else {
            return
        }
        throw WarrenError(.invalidConfiguration, "A time limit of the job '\(job.truncated(toBytes: 80))' \(problem).")
    }
}

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

/// The rule for a job's name on the wire.
enum JobName {
    static let maximumLength = 255

    /// - Throws: ``WarrenError`` with `invalidJobName` if `name` is empty, over 255 bytes, or has a control character.
    static func validate(_ name: String) throws(WarrenError) {
        let problem: String
        if name.isEmpty {
            problem = "is empty"
        } else if name.utf8.count > maximumLength {
            problem = "is longer than \(maximumLength) bytes"
        } else if name.utf8.contains(where: { $0 < 0x20 || $0 == 0x7F }) {
            problem = "has a control character"
        } else {
            return
        }
        throw WarrenError(.invalidJobName, "The job name '\(name.truncated(toBytes: 80))' \(problem).")
    }
}

/// Makes and checks ids of jobs.
///
/// An id is a UUID of version 7 (RFC 9562, section 5.7) in lower case: it begins with the time, so that lists of ids sort by age.
enum JobID {
    static let maximumLength = 255

    /// A new id.
    static func make(now: Date) -> String {
        var generator = SystemRandomNumberGenerator()
        return make(now: now, using: &generator)
    }

    static func make(now: Date, using generator: inout some RandomNumberGenerator) -> String {
        let milliseconds = UInt64(clamping: WireTime.microseconds(now) / 1_000)
        let high = milliseconds << 16 | 0x7000 | generator.next() & 0x0FFF
        let low = 0x8000_0000_0000_0000 | generator.next() >> 2
        var bytes: [UInt8] = []
        bytes.reserveCapacity(36)
        for digit in 0..<32 {
            if digit == 8 || digit == 12 || digit == 16 || digit == 20 { bytes.append(UInt8(ascii: "-")) }
            let word = digit < 16 ? high : low
            let nibble = UInt8(truncatingIfNeeded: word >> UInt64(60 - digit % 16 * 4)) & 0xF
            bytes.append(nibble < 10 ? UInt8(ascii: "0") + nibble : UInt8(ascii: "a") + nibble - 10)
        }
        return String(decoding: bytes, as: UTF8.self)
    }

    /// - Throws: `invalidJobID` if a caller's own id is empty, too long for a message's properties, or has a control character.
    static func validate(_ id: String) throws(WarrenError) {
        let problem: String
        if id.isEmpty {
            problem = "is empty"
        } else if id.utf8.count > maximumLength {
            problem = "is longer than \(maximumLength) bytes"
        } else if id.utf8.contains(where: { $0 < 0x20 || $0 == 0x7F }) {
            problem = "has a control character"
        } else {
            return
        }
        throw WarrenError(.invalidJobID, "The job id '\(id.truncated(toBytes: 80))' \(problem).")
    }
}
