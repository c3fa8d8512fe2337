import AMQP
import Synchronization

#if canImport(FoundationEssentials)
import FoundationEssentials
#else
import Foundation
#endif

/// A unit of background work: the payload that a service enqueues and a worker executes.
///
/// The stored properties are the payload. They must encode to a JSON object; its keys are the keyword arguments that a
/// worker in another language sees. Services and workers share the type; the handler is registered with the worker
/// alone.
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
/// Every job runs *at least* once: if a worker dies while it runs a job, another worker runs it again. Write handlers
/// so that a repetition does no harm.
public protocol Job: Codable, Sendable {
    /// The name on the wire, such as `emails.send`. It is explicit, so that renaming the type doesn't orphan waiting
    /// jobs.
    static var name: String { get }
    /// The queue the job goes to unless the caller of `enqueue` names another.
    static var queue: QueueName { get }
    /// The policy for failures. Default: 20 attempts, with growing random delays of up to 15 seconds, 30, 60, … at most
    /// an hour.
    static var retry: RetryPolicy { get }
    /// The lane the job goes to unless the caller names another. Default: ``Lane/normal``.
    static var lane: Lane { get }
    /// The time after its due time for which the job is worth starting; `nil`, the default, for no limit.
    static var timeToLive: Duration? { get }
    /// The policy for a job of this kind that expired before it was started. Default: ``ExpiryPolicy/keep``.
    static var expiryPolicy: ExpiryPolicy { get }
    /// The time that one attempt may take. Default: ``TimeLimits/none``.
    static var timeLimits: TimeLimits { get }
}

extension Job {
    /// 20 attempts, with growing random delays.
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

// MARK: - Expiry

/// The fate of a job that expired before it was started.
///
/// A worker always detects the expiry: Warren doesn't set AMQP's `expiration` property. With it the broker would drop
/// such a job unseen (or, on a queue with a dead-letter exchange, move it without a failure record), and in the delay
/// ladder it would cut the delay short. So every expired job is counted and logged, whatever the policy.
public struct ExpiryPolicy: Sendable, Hashable {
    let keepsJob: Bool

    /// Moves the job to the queue's dead queue with the reason `expired`.
    public static let keep = ExpiryPolicy(keepsJob: true)
    /// Acknowledges and drops the job; a counter and a log line remain.
    public static let discard = ExpiryPolicy(keepsJob: false)
}

// MARK: - Time limits

/// The time that one attempt at a job may take.
///
/// At the *soft* limit the handler's task is cancelled. The attempt has then failed with ``JobTimeLimitExceeded``,
/// whatever the handler throws; if it returns without throwing, it has succeeded in spite of the cancellation. The
/// limit relies on the handler to respond to cancellation.
///
/// At the *hard* limit the attempt has failed whether the handler returns or not. A handler that doesn't return can be
/// ended only with its process: so the worker makes the failure durable, requeues the jobs it has not started, lets
/// other running jobs finish until the shutdown timeout, and ends with ``WarrenError`` `hardTimeLimit`. Under `worker
/// --processes` the supervisor then starts a new process.
///
/// After either, the job's ``RetryPolicy`` decides what comes next. A task of the cooperative pool watches the limits,
/// so handlers that block all threads of the pool delay the limits too. Only a liveness probe helps against those.
public struct TimeLimits: Sendable, Hashable {
    /// The time after which the handler's task is cancelled; `nil` for never.
    public var soft: Duration?
    /// The time after which the attempt fails even if the handler hasn't returned; `nil` for never.
    public var hard: Duration?

    /// Creates limits, of which either can be left out.
    public init(soft: Duration? = nil, hard: Duration? = nil) {
        self.soft = soft
        self.hard = hard
    }

    /// No limits.
    public static let none = TimeLimits()

    var isNone: Bool { soft == nil && hard == nil }

    /// The longest time that an attempt can take; `nil` without limits.
    ///
    /// A soft limit alone counts, because a handler that responds to cancellation ends there.
    var longest: Duration? { hard ?? soft }

    /// Returns these limits, each replaced by the other's where that has one.
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
    /// The longest limit on the wire, about 31 years; a longer one is cut to it.
    private static let longestOnWire = 1e9

    /// Reads Celery's `timelimit` header: an array of the hard and the soft limit in seconds, each null or 0 for none.
    ///
    /// A value that can't be read counts as no limit, so that the limits of the job's type hold.
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

    /// The value of Celery's `timelimit` header.
    var wire: FieldValue { .array([Self.value(hard), Self.value(soft)]) }

    /// Whole seconds as an integer, as Python sends them, where they fit.
    private static func value(_ limit: Duration?) -> FieldValue {
        guard let limit else { return .void }
        let (seconds, attoseconds) = limit.components
        return attoseconds == 0 && seconds <= Int64(Int32.max) ? .int32(Int32(seconds)) : .double(limit / .seconds(1))
    }
}

// MARK: - Names and ids

/// The rule for a job's name on the wire.
enum JobName {
    static let maximumLength = 255

    /// - Throws: ``WarrenError`` with `invalidJobName` if `name` is empty, over 255 bytes, or has a control character.
    static func validate(_ name: String) throws(WarrenError) {
        if let problem = problem(in: name, maximumLength: maximumLength) {
            throw WarrenError(.invalidJobName, "The job name '\(name.truncated(toBytes: 80))' \(problem).")
        }
    }
}

/// Makes and checks ids of jobs.
///
/// An id is a UUID of version 7 (RFC 9562, section 5.7) in lower case: it begins with the time, so that lists of ids
/// sort by age.
enum JobID {
    static let maximumLength = 255

    private static let tail = Mutex(RandomTail())

    /// A new id.
    static func make(now: Date) -> String {
        var generator = SystemRandomNumberGenerator()
        return tail.withLock { make(now: now, &$0, using: &generator) }
    }

    static func make(now: Date, _ tail: inout RandomTail, using generator: inout some RandomNumberGenerator) -> String {
        let milliseconds = UInt64(clamping: WireTime.microseconds(now) / 1_000)
        return text(milliseconds, tail.next(milliseconds, using: &generator))
    }

    /// The random part of the ids: drawn for each millisecond, and counted up within it (RFC 9562, section 6.2, method
    /// 2), because each draw is a system call.
    struct RandomTail {
        private var milliseconds: UInt64?
        /// 74 bits: 12 and 62.
        private var bits: (high: UInt64, low: UInt64) = (0, 0)

        /// The part of the next id, which is made in this millisecond.
        mutating func next(
            _ milliseconds: UInt64,
            using generator: inout some RandomNumberGenerator
        ) -> (high: UInt64, low: UInt64) {
            if milliseconds == self.milliseconds, bits.low < UInt64.max >> 2 {
                bits.low += 1
            } else {
                self.milliseconds = milliseconds
                bits = (generator.next() & 0x0FFF, generator.next() >> 2)
            }
            return bits
        }
    }

    private static func text(_ milliseconds: UInt64, _ random: (high: UInt64, low: UInt64)) -> String {
        let high = milliseconds << 16 | 0x7000 | random.high
        let low = 0x8000_0000_0000_0000 | random.low
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

    /// - Throws: `invalidJobID` if a caller's own id is empty, too long for a message's properties, or has a control
    ///   character.
    static func validate(_ id: String) throws(WarrenError) {
        if let problem = problem(in: id, maximumLength: maximumLength) {
            throw WarrenError(.invalidJobID, "The job id '\(id.truncated(toBytes: 80))' \(problem).")
        }
    }
}

/// The rule that names and ids break, as the end of a sentence; `nil` if they break none.
private func problem(in text: String, maximumLength: Int) -> String? {
    if text.isEmpty { return "is empty" }
    if text.utf8.count > maximumLength { return "is longer than \(maximumLength) bytes" }
    if text.utf8.contains(where: { $0 < 0x20 || $0 == 0x7F }) { return "has a control character" }
    return nil
}
