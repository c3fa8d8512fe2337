import AMQP
import Foundation
import Warren

/// Feeds mutated messages to everything that reads messages, and counts what became of them.
struct FuzzRun: Sendable {
    /// What a run came to.
    struct Report: Codable, Equatable, Sendable {
        var seed: UInt64
        var cases = 0
        /// Messages that were read as jobs, payload and all.
        var read = 0
        /// Messages whose properties can't be taken apart.
        var malformed = 0
        /// Messages that were refused, by the reason that their dead letters get.
        var refused: [String: Int] = [:]
        /// Copies that can't be sent, as they hold numbers that Erlang doesn't know.
        var unsendable = 0
        /// The longest case, in milliseconds.
        var slowest = 0.0
        /// Which case that was.
        var slowestCase = 0
        /// Cases in which something was wrong, the first few.
        var failures: [String] = []
    }

    /// A case that takes longer is a failure; on a busy machine a case of many headers takes a few milliseconds.
    private static let timeLimit = Duration.seconds(5)
    /// What fits into one frame, less what other properties may take.
    private static let frameSize = 131_072 - 8

    let seeds: [FuzzSeed]
    let seed: UInt64

    /// Runs the cases of these numbers.
    func run(_ cases: Range<Int>, progress: (Int) -> Void = { _ in }) -> Report {
        var report = Report(seed: seed)
        for index in cases {
            var mutator = Mutator(generator: FuzzGenerator(seed: seed, index: index), seeds: seeds)
            let message = mutator.message()
            let start = ContinuousClock.now
            feed(message, index, to: &report)
            let time = ContinuousClock.now - start
            if time / .milliseconds(1) > report.slowest {
                report.slowest = time / .milliseconds(1)
                report.slowestCase = index
            }
            if time > Self.timeLimit { report.fail(index, "took \(time)") }
            report.cases += 1
            progress(index)
        }
        return report
    }

    private func feed(_ bytes: FuzzSeed, _ index: Int, to report: inout Report) {
        var reader = WireReader(bytes.properties)
        guard let properties = try? reader.readProperties() else {
            report.malformed += 1
            return
        }
        let message = Message(properties: properties, body: bytes.body)
        let now = Date(timeIntervalSince1970: 1.8e9)
        var generator = FuzzGenerator(seed: seed, index: ~index)
        let outcome: Outcome
        var envelope: Envelope?
        do throws(EnvelopeError) {
            let decoded = try Envelope(decoding: message)
            envelope = decoded
            _ = (decoded.deliveryCount, decoded.enqueuedAt, decoded.isExpired(at: now))
            if decoded.name == FuzzJob.name {
                _ = try decoded.payload(as: FuzzJob.self)
            } else {
                _ = try decoded.payload(as: AnyJSON.self)
            }
            report.read += 1
            outcome = .decide(
                .threw(LoadError("no")),
                envelope: decoded,
                policy: FuzzJob.retry,
                now: now,
                using: &generator
            )
        } catch {
            if error.code.rawValue.isEmpty || error.message.isEmpty { report.fail(index, "has an error without words") }
            report.refused[error.code.rawValue, default: 0] += 1
            outcome = .decide(.undecodable(error), envelope: nil, policy: FuzzJob.retry, now: now, using: &generator)
            guard outcome.deadReason != nil else { return report.fail(index, "can't be read and is \(outcome)") }
        }
        if let envelope {
            check(envelope.retried(after: .seconds(1), error: LoadError("no"), worker: "w", now: now), index, &report)
        }
        let record = FailureRecord(
            reason: .permanent,
            error: LoadError("no"),
            message: message,
            attempt: envelope?.attempt,
            origin: Destination(exchange: "e", routingKey: "k"),
            worker: "w",
            now: now
        )
        let letter = Envelope.deadLetter(message, record: record)
        _ = FailureRecord(deadLetter: letter)
        check(letter, index, &report)
        check(Envelope.replayed(letter, now: now), index, &report)
    }

    /// A copy must fit into a frame, and must be fit to be sent.
    private func check(_ copy: Message, _ index: Int, _ report: inout Report) {
        do throws(AMQPError) {
            try copy.properties.validate()
            let size = try copy.properties.encoded().count
            if size > Self.frameSize { report.fail(index, "has a copy with \(size) bytes of properties") }
        } catch {
            if error.code == .invalidArgument {
                report.unsendable += 1
            } else {
                report.fail(index, "has a copy that can't be written: \(error)")
            }
        }
    }
}

extension FuzzRun.Report {
    fileprivate mutating func fail(_ index: Int, _ what: String) {
        if failures.count < 20 { failures.append("Case \(index) \(what).") }
    }
}
