import AMQP
import Logging
import Synchronization

#if canImport(FoundationEssentials)
import FoundationEssentials
#else
import Foundation
#endif

/// The record of one start of a job that may be poison.
struct JobStart: Sendable, Hashable {
    /// The record's id, by which the end refers to the start.
    let id: String
    /// The job, by queue and id.
    let job: String
    /// The name of the worker that started it.
    let worker: String
    /// The run of the worker that started it: unlike its name, no other has it.
    let run: String
    let time: Date
    /// True if it was started from quarantine, where a worker starts one job at a time.
    let isQuarantined: Bool
}

/// The starts and ends of jobs that may be poison, in a stream at the broker that all workers of an application append
/// to and read.
///
/// A start is recorded before the handler is called, and its end after the delivery was settled or requeued. So a
/// start without an end is one whose worker is gone, or still at it, or about to record the end.
///
/// There is one stream for all queues and jobs, declared when the first job may be poison and bounded by age and size:
/// a queue for each job would leave the broker the atom of its name for good. A worker reads the stream from the first
/// time it needs it.
final class StartLog: Sendable {
    private struct State: Sendable {
        /// The starts without an end, by job, oldest first.
        var starts: [String: [JobStart]] = [:]
        /// Those who wait until their own start has been read.
        var waiting: [String: Latch] = [:]
        var reader: Task<Void, Never>?
        var isClosed = false
    }

    /// The time limit of one append.
    private static let timeout: Duration = .seconds(15)
    /// The number of times that the end of a start is appended before it is given up.
    private static let attempts = 5
    private static let prefetch: UInt16 = 200

    /// The stream's name.
    let name: String
    /// The run of this worker.
    let run: String
    private let worker: Worker
    private let state = Mutex(State())

    init(_ worker: Worker) {
        self.worker = worker
        name = worker.topology.startLog
        run = JobID.make(now: worker.now())
    }

    // MARK: Recording

    /// Records a start, and returns the earlier starts of the job by other runs of workers that have no end, oldest
    /// first.
    ///
    /// Returns `nil` if the log was closed or the task was cancelled meanwhile.
    ///
    /// - Throws: The broker's error if the start could not be recorded, or may not have been. It may be recorded again.
    func begin(_ start: JobStart) async throws(AMQPError) -> [JobStart]? {
        try await declare()
        read()
        let isRead = Latch()
        state.withLock { $0.waiting[start.id] = isRead }
        defer { state.withLock { _ = $0.waiting.removeValue(forKey: start.id) } }
        try await append(.started(start))
        await isRead.wait()
        if Task.isCancelled || state.withLock(\.isClosed) { return nil }
        return unended(before: start)
    }

    /// The starts of the job by other runs of workers that have no end now, oldest first.
    func unended(before start: JobStart) -> [JobStart] {
        state.withLock { $0.starts[start.job] ?? [] }.filter { $0.run != run && $0.id != start.id }
    }

    /// Records the end of a start.
    ///
    /// - Parameter isSettled: Whether the job is settled, so that none of its starts matters any more.
    func end(_ start: JobStart, isSettled: Bool = false) async {
        let record = isSettled ? StartRecord.settled(job: start.job) : .ended(start)
        // A shield: shutdown cancels jobs, and a start without an end would count as a crash.
        let failure = await Task { await appendRepeatedly(record) }.value
        guard let failure else { return }
        worker.logger.warning(
            "The end of a job that may be poison could not be recorded; if it is delivered again, this start may count as a crash",
            metadata: [LogKey.job: "\(start.job)", LogKey.reason: "\(failure)"]
        )
    }

    /// Appends; repeats after growing pauses if the error may pass, and returns the last one.
    private func appendRepeatedly(_ record: StartRecord) async -> AMQPError? {
        var backoff = Backoff(from: .milliseconds(100), to: .seconds(2))
        var attempt = 1
        while true {
            do throws(AMQPError) {
                try await append(record)
                return nil
            } catch {
                if !error.isRetriable || attempt == Self.attempts || state.withLock(\.isClosed) { return error }
            }
            attempt += 1
            try? await worker.clock.sleep(for: backoff.next())
        }
    }

    private func append(_ record: StartRecord) async throws(AMQPError) {
        try await worker.transport.publish(
            record.message,
            to: .queue(name),
            mandatory: true,
            deadline: .now + Self.timeout
        )
    }

    private func declare() async throws(AMQPError) {
        guard state.withLock({ $0.reader == nil }) else { return }
        if worker.settings.declaresTopology {
            do {
                try await worker.transport.declare(worker.topology.startLogDeclaration)
            } catch {
                // Another version of Warren declared it: that stream serves as well.
                guard error.code == .declarationMismatch else { throw error }
            }
        } else {
            _ = try await worker.transport.status(ofQueue: name)
        }
    }

    // MARK: Reading

    /// Begins to read the stream, unless somebody has.
    private func read() {
        state.withLock { state in
            guard state.reader == nil, !state.isClosed else { return }
            state.reader = Task {
                var backoff = Backoff(from: .milliseconds(200), to: .seconds(5))
                while !Task.isCancelled {
                    do throws(AMQPError) {
                        try await readToEnd { backoff.reset() }
                    } catch {
                        worker.logger.warning(
                            "The starts of jobs that may be poison can't be read; trying again",
                            metadata: [LogKey.queue: "\(name)", LogKey.reason: "\(error)"]
                        )
                        if error.code == .notFound, worker.settings.declaresTopology {
                            _ = try? await worker.transport.declare(worker.topology.startLogDeclaration)
                        }
                    }
                    try? await worker.clock.sleep(for: backoff.next())
                }
            }
        }
    }

    private func readToEnd(_ onRecord: () -> Void) async throws(AMQPError) {
        let stream = try await worker.transport.consume(
            queue: name,
            prefetch: Self.prefetch,
            arguments: ["x-stream-offset": "first"]
        )
        state.withLock { $0.starts = [:] }
        while true {
            let batch = try await stream.nextBatch()
            if batch.isEmpty { return }
            onRecord()
            for delivery in batch {
                if let record = StartRecord(delivery.message) { apply(record) }
                delivery.ack()
            }
        }
    }

    private func apply(_ record: StartRecord) {
        state.withLock { state in
            switch record {
            case .started(let start):
                let isKnown = state.starts[start.job]?.contains { $0.id == start.id } ?? false
                if !isKnown { state.starts[start.job, default: []].append(start) }
                state.waiting[start.id]?.open()
            case .ended(let start):
                state.starts[start.job]?.removeAll { $0.id == start.id }
                if state.starts[start.job]?.isEmpty ?? false { state.starts[start.job] = nil }
            case .settled(let job):
                state.starts[job] = nil
            }
        }
    }

    /// Ends the reading, and lets go whoever waits.
    func close() async {
        let reader = state.withLock { state in
            state.isClosed = true
            for latch in state.waiting.values { latch.open() }
            return state.reader
        }
        reader?.cancel()
        await reader?.value
    }
}

/// A message of the ``StartLog``.
private enum StartRecord {
    case started(JobStart)
    /// One start has ended; the job itself is to be run again.
    case ended(JobStart)
    /// The job is settled: all its starts are of the past.
    case settled(job: String)

    private enum Event: String {
        case started, ended, settled
    }

    /// Reads a record; `nil` if the message isn't one.
    init?(_ message: Message) {
        guard let headers = message.properties.headers,
            let event = headers[EnvelopeHeader.startEvent]?.stringValue.flatMap(Event.init),
            let job = headers[EnvelopeHeader.startedJob]?.stringValue
        else { return nil }
        if event == .settled {
            self = .settled(job: job)
            return
        }
        guard let id = message.properties.messageID,
            let worker = headers[EnvelopeHeader.startedBy]?.stringValue,
            let run = headers[EnvelopeHeader.startedIn]?.stringValue,
            let time = headers[EnvelopeHeader.startedAt].flatMap(WireTime.date),
            case .bool(let isQuarantined)? = headers[EnvelopeHeader.startedFromQuarantine]
        else { return nil }
        let start = JobStart(
            id: id,
            job: job,
            worker: worker,
            run: run,
            time: time,
            isQuarantined: isQuarantined
        )
        switch event {
        case .started: self = .started(start)
        case .ended: self = .ended(start)
        case .settled: return nil
        }
    }

    var message: Message {
        var properties = BasicProperties()
        properties.deliveryMode = .persistent
        switch self {
        case .started(let start): Self.set(start, .started, &properties)
        case .ended(let start): Self.set(start, .ended, &properties)
        case .settled(let job):
            properties.headers = [
                EnvelopeHeader.startEvent: .string(Event.settled.rawValue), EnvelopeHeader.startedJob: .string(job),
            ]
        }
        return Message(properties: properties, body: [])
    }

    private static func set(_ start: JobStart, _ event: Event, _ properties: inout BasicProperties) {
        properties.messageID = start.id
        properties.timestamp = UInt64(clamping: Int64(start.time.timeIntervalSince1970))
        properties.headers = [
            EnvelopeHeader.startEvent: .string(event.rawValue),
            EnvelopeHeader.startedJob: .string(start.job),
            EnvelopeHeader.startedBy: .string(start.worker.truncated(toBytes: ErrorDescription.nameLimit)),
            EnvelopeHeader.startedIn: .string(start.run),
            EnvelopeHeader.startedAt: .string(WireTime.text(start.time)),
            EnvelopeHeader.startedFromQuarantine: .bool(start.isQuarantined),
        ]
    }
}
