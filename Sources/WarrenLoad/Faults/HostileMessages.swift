import AMQP
import Foundation
import RabbitMQ
import Synchronization
import Warren

/// Messages that are no jobs, between jobs that are.
struct HostileBytes: Fault {
    /// How much memory a worker may take at most, in MiB: what 16 slots need for bodies of 16 MiB, several copies of each, and room.
    static let memoryLimit = 1_536.0

    let name = "hostile-bytes"
    let summary = "mutated envelopes and headers, bodies of 16 MiB, JSON 100,000 deep"

    func run(_ context: FaultContext) async throws -> FaultReport {
        let broker = try await context.brokers.shared()
        let setup = Experiment.Setup(broker: try await broker.url(), load: .standard(context))
        let count = context.size(short: 1_000, long: 100_000)
        let unusual = context.size(short: 4, long: 40)
        return try await Experiment.run(name, context, setup) { experiment in
            let hostile = HostileMessages(sample: try await sample(experiment))
            try await publish(experiment, count) { hostile.message($0) }
            try await publish(experiment, unusual, from: count) { hostile.deep($0, levels: 100_000) }
            try await publish(experiment, unusual, from: count + unusual, callers: 2) { hostile.large($0) }
            // The queue is first in, first out: what comes now would only wait behind them.
            try await Patience.wait("the hostile messages are worked off", within: .seconds(240)) {
                try await experiment.observer.status(ofQueue: experiment.queue.rawValue).messageCount < 100
            }
            experiment.mark(countsNewJobsOnly: true)
        } judge: { experiment, ledger in
            let hostile = ledger.confirmed.keys.filter { $0.hasPrefix("hostile-") }
            let done = Set(ledger.completions.map(\.id))
            experiment.figure("hostile", Double(hostile.count))
            experiment.figure("harmless", Double(hostile.count { done.contains($0) }))
            experiment.figure("parked", Double(ledger.queued.count))
            let silent = ledger.dead.filter { $0.value == "none" || $0.value.hasPrefix("broker") }
            experiment.owe(silent.isEmpty, "dead without a reason: \(silent.keys.sorted().prefix(5))")
            let hurt = ledger.dead.keys.filter { $0.hasPrefix("job-") }
            experiment.owe(hurt.isEmpty, "good jobs are dead: \(hurt.sorted().prefix(5))")
            let peak = experiment.findings.figures.last { $0.name == "worker_peak_mib" }?.value ?? 0
            experiment.owe(peak <= Self.memoryLimit, "a worker took \(peak) MiB")
        }
    }

    /// A message as it is in the queue when all is well.
    private func sample(_ experiment: Experiment) async throws -> Message {
        let other = Topology(application: experiment.topology.application + "-sample")
        let queue = QueueName(experiment.queue.rawValue + "-sample")
        let client = experiment.observer
        let jobs = JobClient(client, topology: other)
        try await jobs.enqueue(FaultJob(milliseconds: 1, text: "ä, ☃ and \"quotes\""), queue: queue)
        guard let delivery = try await client.get(queue: queue.rawValue) else { throw LoadError("The sample is gone.") }
        delivery.ack()
        for name in [queue.rawValue, queue.dead, queue.parked] { try await client.deleteQueue(name) }
        for name in [other.exchange, other.deadExchange] { try await client.deleteExchange(name) }
        return delivery.message
    }

    private func publish(
        _ experiment: Experiment,
        _ count: Int,
        from first: Int = 0,
        callers: Int = Load.callers,
        _ message: @escaping @Sendable (Int) -> Message
    ) async throws {
        try await withThrowingDiscardingTaskGroup { group in
            for caller in 0..<callers {
                group.addTask {
                    for number in stride(from: first + caller, to: first + count, by: callers) {
                        let began = WallClock.now
                        let message = message(number)
                        do throws(AMQPError) {
                            try await experiment.observer.publish(message, to: .queue(experiment.queue.rawValue))
                            experiment.book.with { $0.confirm(message.properties.messageID ?? "", begunAt: began) }
                        } catch {
                            // The client sees by itself that the broker wouldn't take some of them.
                            guard error.code == .invalidArgument else { throw error }
                        }
                    }
                }
            }
        }
    }
}

/// Messages that no producer in its right mind sends, made from one that is in order.
struct HostileMessages: Sendable {
    /// A message as ``JobClient`` sends it.
    let sample: Message

    /// How the message of a number is made, from a fixed seed: the same in each run.
    func message(_ number: Int) -> Message {
        var random = SeededNumbers(seed: UInt64(number))
        var message = sample
        var headers = message.properties.headers ?? FieldTable()
        switch number % 10 {
        case 0:
            message.body = (0..<Int.random(in: 0...300, using: &random)).map { _ in .random(in: 0...255, using: &random)
            }
        case 1: message.body = Array(message.body.prefix(.random(in: 0..<message.body.count, using: &random)))
        case 2, 3: flip(&message.body, &random)
        case 4: if let name = headers.randomElement(using: &random)?.name { headers[name] = nil }
        case 5, 6: if let name = headers.randomElement(using: &random)?.name { headers[name] = value(&random) }
        case 7: headers["odd"] = nested(.random(in: 1...60, using: &random))
        case 8: for extra in 0..<200 { headers["extra-\(extra)"] = value(&random) }
        default:
            message.properties.contentEncoding = ["utf-16", "binary", "zstd", "\u{1}"].randomElement(using: &random)
        }
        message.properties.headers = headers
        return named(message, number)
    }

    /// JSON of so many arrays in each other.
    func deep(_ number: Int, levels: Int) -> Message {
        var message = sample
        message.body =
            Array(repeating: UInt8(ascii: "["), count: levels)
            + Array(repeating: UInt8(ascii: "]"), count: levels)
        return named(message, number)
    }

    /// The largest body there is: a string, or what is no JSON at all.
    func large(_ number: Int) -> Message {
        var message = sample
        let start = Array(#"[[],{"milliseconds":"#.utf8)
        let filling = Array(
            repeating: UInt8(ascii: number % 2 == 0 ? "9" : "\""),
            count: Message.maximumBodySize - start.count
        )
        message.body = start + filling
        return named(message, number)
    }

    private func named(_ message: Message, _ number: Int) -> Message {
        var message = message
        let id = "hostile-\(number)"
        message.properties.messageID = id
        message.properties.headers?[FaultWorkerCommand.idHeader] = .string(id)
        return message
    }

    private func flip(_ body: inout [UInt8], _ random: inout SeededNumbers) {
        for _ in 0..<Int.random(in: 1...8, using: &random) {
            let place = Int.random(in: 0..<body.count, using: &random)
            body[place] = .random(in: 0...255, using: &random)
        }
    }

    private func value(_ random: inout SeededNumbers) -> FieldValue {
        switch Int.random(in: 0...9, using: &random) {
        case 0: .void
        case 1: .bool(.random(using: &random))
        case 2: .int64(.random(in: .min ... .max, using: &random))
        case 3: .double(-.greatestFiniteMagnitude)
        case 4: .timestamp(.random(in: 0 ... .max, using: &random))
        case 5: .bytes((0..<40).map { _ in .random(in: 0...255, using: &random) })
        case 6: .array(Array(repeating: .string("x"), count: 50))
        case 7: .table(["task": .void, "id": .array([])])
        case 8: .string(String(repeating: "ä", count: .random(in: 0...500, using: &random)))
        default: .decimal(FieldDecimal(scale: 255, value: .max))
        }
    }

    private func nested(_ levels: Int) -> FieldValue {
        (0..<levels).reduce(FieldValue.void) { inner, level in level % 2 == 0 ? .table(["in": inner]) : .array([inner])
        }
    }
}

/// Numbers that look random and are the same for one seed (SplitMix64, <https://prng.di.unimi.it/splitmix64.c>).
struct SeededNumbers: RandomNumberGenerator {
    private var state: UInt64

    init(seed: UInt64) { state = seed }

    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var mixed = state
        mixed = (mixed ^ (mixed >> 30)) &* 0xBF58_476D_1CE4_E5B9
        mixed = (mixed ^ (mixed >> 27)) &* 0x94D0_49BB_1331_11EB
        return mixed ^ (mixed >> 31)
    }
}
