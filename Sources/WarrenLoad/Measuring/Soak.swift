import AMQP
import Foundation
import RabbitMQ
import Synchronization

/// Publishes and consumes numbered messages at full rate, and accounts for each.
final class Soak: Sendable {
    /// The time or number after which no more are published.
    enum End: Sendable {
        case messages(Int)
        case after(Duration)
    }

    /// The result.
    struct Report: Codable, Sendable {
        var published = 0
        var delivered = 0
        /// Messages that were confirmed and not delivered within a minute of the end.
        var lost = 0
        /// Deliveries of messages that had been delivered before.
        var doubled = 0
        /// Publishes that failed and were repeated.
        var repeated = 0
        /// The number of times that a connection was cut.
        var cuts = 0
        /// Resident memory at the first and at the last look, in MiB.
        var firstMemory = 0.0
        var lastMemory = 0.0
        var threads = 0
        var descriptors = 0
    }

    private struct Ledger {
        var report = Report()
        /// The messages that have yet to be delivered.
        var outstanding: Set<Int> = []
    }

    /// The number of messages that may wait in the queue.
    private static let mostWaiting = 20_000
    /// The number of messages that await their confirm.
    private static let window = 1000

    private let url: String
    private let ledger = Mutex(Ledger())
    private let queue = "warren-load-soak"

    init(url: String) { self.url = url }

    /// Runs to the end, and until everything has been delivered.
    func run(until end: End) async throws -> Report {
        let client = try RabbitMQClient(url: url)
        try await client.deleteQueue(queue)
        try await client.declare(QueueDeclaration(queue, arguments: QueueArguments(.quorum)))
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask { await self.consume(client) }
            group.addTask { try await self.watch() }
            try await publish(client, until: end)
            try await drain()
            group.cancelAll()
        }
        try await client.deleteQueue(queue)
        await client.close()
        look()
        return ledger.withLock { ledger in
            ledger.report.lost = ledger.outstanding.count
            return ledger.report
        }
    }

    /// Notes that a connection was cut.
    func noteCut() { ledger.withLock { $0.report.cuts += 1 } }

    // MARK: Publishing

    private func publish(_ client: RabbitMQClient, until end: End) async throws {
        let start = ContinuousClock.now
        var first = 0
        while true {
            switch end {
            case .messages(let count) where first >= count: return
            case .after(let duration) where start.duration(to: .now) >= duration: return
            default: break
            }
            var numbers = Array(first..<(first + Self.window))
            first += numbers.count
            ledger.withLock { $0.outstanding.formUnion(numbers) }
            while !numbers.isEmpty { numbers = await publish(numbers, client) }
            while ledger.withLock({ $0.outstanding.count }) > Self.mostWaiting {
                try await Task.sleep(for: .milliseconds(1))
            }
        }
    }

    /// Publishes messages, and returns those that failed.
    private func publish(_ numbers: [Int], _ client: RabbitMQClient) async -> [Int] {
        let messages = numbers.map { Message(String($0) + Self.filling) }
        var failed: [Int] = []
        var index = 0
        for await result in client.publish(contentsOf: messages, to: .queue(queue), window: Self.window) {
            if case .failure = result { failed.append(numbers[index]) }
            index += 1
        }
        ledger.withLock { ledger in
            ledger.report.published += numbers.count - failed.count
            ledger.report.repeated += failed.count
        }
        return failed
    }

    private static let filling = " " + String(repeating: "x", count: Load.bodySize)

    // MARK: Consuming

    private func consume(_ client: RabbitMQClient) async {
        while !Task.isCancelled {
            do {
                let deliveries = try await client.consume(queue: queue, prefetch: UInt16(Load.prefetch))
                for try await delivery in deliveries {
                    note(delivery.message.text?.prefix { $0 != " " }.description)
                    delivery.ack()
                }
            } catch {
                if error.code == .closed || error.code == .cancelled { return }
            }
        }
    }

    private func note(_ text: String?) {
        guard let number = text.flatMap(Int.init) else { return }
        ledger.withLock { ledger in
            if ledger.outstanding.remove(number) == nil {
                ledger.report.doubled += 1
            } else {
                ledger.report.delivered += 1
            }
        }
    }

    /// Waits until everything has been delivered, up to a minute.
    private func drain() async throws {
        let end = ContinuousClock.now + .seconds(60)
        while ledger.withLock({ !$0.outstanding.isEmpty }), ContinuousClock.now < end {
            try await Task.sleep(for: .milliseconds(10))
        }
    }

    // MARK: Watching

    private func watch() async throws {
        var before = 0
        var seconds = 0
        while true {
            try await Task.sleep(for: .seconds(10))
            seconds += 10
            let report = look()
            FileHandle.standardError.write(
                Data(
                    """
                    \(seconds) s: \((report.delivered - before) / 10)/s, \(report.lastMemory) MiB, \(report.threads) threads, \
                    \(report.descriptors) descriptors, \(report.cuts) cuts\n
                    """.utf8
                )
            )
            before = report.delivered
        }
    }

    /// Notes what the process takes.
    @discardableResult
    private func look() -> Report {
        let pages = (try? String(contentsOfFile: "/proc/self/statm", encoding: .utf8))?.split(separator: " ")
        let memory = Double(pages.flatMap { Int($0[1]) } ?? 0) * 4096 / 1_048_576
        let files = FileManager.default
        let threads = (try? files.contentsOfDirectory(atPath: "/proc/self/task").count) ?? 0
        let descriptors = (try? files.contentsOfDirectory(atPath: "/proc/self/fd").count) ?? 0
        return ledger.withLock { ledger in
            ledger.report.lastMemory = (memory * 10).rounded() / 10
            if ledger.report.firstMemory == 0 { ledger.report.firstMemory = ledger.report.lastMemory }
            ledger.report.threads = threads
            ledger.report.descriptors = descriptors
            return ledger.report
        }
    }
}

/// A soak through a proxy that cuts connections: in each byte of the log-in, and later at random.
struct CutSoak {
    /// The largest number of bytes that a log-in takes.
    private static let longestLogIn = 4000

    let url: String
    let seed: UInt64
    /// The longest time between two cuts.
    let pause: Duration

    func run(until end: Soak.End) async throws -> Soak.Report {
        guard let address = URLComponents(string: url), let port = address.port.flatMap(UInt16.init(exactly:)) else {
            throw LoadError("--cuts needs a URL with a port.")
        }
        return try await FaultProxy.run(toPort: port) { proxy in
            var through = address
            through.host = "127.0.0.1"
            through.port = Int(proxy.port)
            guard let url = through.string else { throw LoadError("The URL can't name the proxy.") }
            let cuts = try await cutLogIns(proxy, url)
            let soak = Soak(url: url)
            for _ in 0..<cuts { soak.noteCut() }
            return try await withThrowingTaskGroup(of: Void.self) { group in
                group.addTask {
                    var random = SplitMix64(seed: seed, index: 0)
                    while true {
                        try await Task.sleep(for: pause * Double.random(in: 0.02...1, using: &random))
                        switch Int.random(in: 0..<4, using: &random) {
                        case 0: proxy.cutAll()
                        case 1: proxy.resetAll()
                        case 2: proxy.resetInMidFrame(.toBroker)
                        default: proxy.resetInMidFrame(.toClient)
                        }
                        soak.noteCut()
                    }
                }
                let report = try await soak.run(until: end)
                group.cancelAll()
                return report
            }
        }
    }

    /// Cuts one connection after each byte of its log-in, and checks each time that the client's publish succeeds.
    ///
    /// Returns the number of cuts.
    private func cutLogIns(_ proxy: FaultProxy, _ url: String) async throws -> Int {
        for byteCount in 0..<Self.longestLogIn {
            let before = proxy.cutCount
            let client = try RabbitMQClient(url: url)
            proxy.cutNext(after: byteCount)
            // The first connection of a client may fail for good, because a program that starts wants to know.
            let queue = QueueDeclaration("warren-load-cut", arguments: QueueArguments(.quorum))
            do { try await client.declare(queue) } catch { try await client.declare(queue) }
            try await client.publish(Message("A"), to: .queue("warren-load-cut"))
            let delivery = try await client.get(queue: "warren-load-cut")
            delivery?.ack()
            await client.close()
            guard delivery != nil else { throw LoadError("The message of the cut at byte \(byteCount) is lost.") }
            // All that the connection carried was less.
            if proxy.cutCount == before { return byteCount }
        }
        return Self.longestLogIn
    }
}
