import AMQP
import Foundation
import TestSupport
import Testing
import Warren

@Suite(.broker(.embedded, .rabbitMQ), .timeLimit(.minutes(1))) struct WorkerOnBrokerTests {
    @Test(arguments: [QueueKind.quorum, .classic])
    func `Two thousand jobs each run once, and nothing is left`(kind: QueueKind) async throws {
        try await TestApplication.with(kind: kind) { application in
            let recorder = Recorder<Int>()
            let worker = application.worker(concurrency: 16) {
                Handler(Probe.self) { job, _ in recorder.record(job.number) }
            }
            try await application.run(worker) {
                try await withThrowingTaskGroup(of: Void.self) { group in
                    for start in 0..<50 {
                        group.addTask {
                            for number in start * 40..<(start + 1) * 40 {
                                _ = try await application.jobs.enqueue(Probe(number: number), queue: application.queue)
                            }
                        }
                    }
                    try await group.waitForAll()
                }
                #expect(await recorder.next(2_000).sorted() == Array(0..<2_000))
            }
            #expect(worker.counts.succeeded == 2_000)
            #expect(worker.counts.redelivered == 0)
            #expect(try await application.ready(application.queue.rawValue) == 0)
        }
    }

    @Test func `With a strict policy, more urgent lanes go first`() async throws {
        let order = try await laneOrder(.strict, prefetch: 8)
        let expected = ["high", "normal", "low"].flatMap { Array(repeating: $0, count: 4) }
        #expect(Array(order.dropFirst()) == expected)
    }

    @Test func `With weights, no lane starves`() async throws {
        let order = try await laneOrder(.weighted([.high: 2, .normal: 1, .low: 1]), prefetch: 8)
        let firstHalf = order.dropFirst().prefix(8)
        #expect(Set(firstHalf) == ["high", "normal", "low"])
        #expect(firstHalf.count { $0 == "high" } == 4)
    }

    /// The lanes of 4 jobs of each lane in the order in which a worker with one slot runs them, a first one before that
    /// aside.
    private func laneOrder(_ policy: LanePolicy, prefetch: Int) async throws -> [String] {
        var order: [String] = []
        try await TestApplication.with(lanes: [.high, .normal, .low]) { application in
            let recorder = Recorder<String>()
            let gate = Gate()
            let worker = application.worker(concurrency: 1, prefetch: prefetch, lanes: policy) {
                Handler(Probe.self) { job, context in
                    recorder.record(context.lane.name)
                    if job.number == 0 { await gate.wait() }
                }
            }
            try await application.run(worker) {
                _ = try await application.jobs.enqueue(Probe(number: 0), queue: application.queue)
                order += await recorder.next(1)
                for number in 1...4 {
                    for lane in [Lane.low, .normal, .high] {
                        _ = try await application.jobs.enqueue(
                            Probe(number: number),
                            lane: lane,
                            queue: application.queue
                        )
                    }
                }
                // Delivered and unsettled, they wait in the worker.
                for lane in Lane.all { try await application.until(lane.queue(of: application.queue), holds: 0) }
                gate.open()
                order += await recorder.next(12)
            }
        }
        return order
    }

    @Test func `At shutdown a running job finishes, and jobs that haven't started are requeued in their place`()
        async throws
    {
        try await TestApplication.with { application in
            let recorder = Recorder<Int>()
            let gate = Gate()
            let worker = application.worker(concurrency: 1, prefetch: 10) {
                Handler(Probe.self) { job, _ in
                    recorder.record(job.number)
                    await gate.wait()
                }
            }
            for number in 1...5 {
                _ = try await application.jobs.enqueue(Probe(number: number), queue: application.queue)
            }
            try await application.serve(worker) { shutDown in
                #expect(await recorder.next(1) == [1])
                try await application.until(application.queue.rawValue, holds: 0)
                await shutDown()
                try await application.until(application.queue.rawValue, holds: 4)
                gate.open()
            }
            #expect(worker.counts.succeeded == 1)
            #expect(worker.counts.requeued == 4)
            let rest = Recorder<Int>()
            let next = application.worker(concurrency: 1) { Handler(Probe.self) { job, _ in rest.record(job.number) } }
            try await application.run(next) { #expect(await rest.next(4).sorted() == [2, 3, 4, 5]) }
            #expect(try await application.ready(application.queue.rawValue) == 0)
            #expect(try await application.ready(application.queue.dead) == 0)
        }
    }

    @Test func `A job that never returns is requeued at the end, and the worker ends`() async throws {
        try await TestApplication.with { application in
            let recorder = Recorder<Bool>()
            let never = Gate()
            let settings = WorkerSettings(
                name: "integration",
                shutdownTimeout: .milliseconds(100),
                cancellationGrace: .milliseconds(100)
            )
            let worker = application.worker(concurrency: 1, settings: settings) {
                Handler(Probe.self) { _, context in
                    recorder.record(context.isRedelivered)
                    await never.wait()
                }
            }
            _ = try await application.jobs.enqueue(Probe(number: 1), queue: application.queue)
            try await application.serve(worker) { shutDown in
                #expect(await recorder.next(1) == [false])
                await shutDown()
            }
            try await application.until(application.queue.rawValue, holds: 1)
            #expect(worker.counts.requeued == 1)
            let next = application.worker {
                Handler(Probe.self) { _, context in recorder.record(context.isRedelivered) }
            }
            try await application.run(next) { #expect(await recorder.next(1) == [true]) }
            never.open()
        }
    }

    @Test func `A queue deleted under a worker is declared again, and its jobs run`() async throws {
        try await TestApplication.with { application in
            let recorder = Recorder<Int>()
            let worker = application.worker {
                Handler(Probe.self) { job, context in
                    if job.number == 2, context.attempt == 1 { throw ProbeError() }
                    recorder.record(job.number)
                }
            }
            try await application.run(worker) {
                _ = try await application.jobs.enqueue(Probe(number: 1), queue: application.queue)
                #expect(await recorder.next(1) == [1])
                try await application.client.deleteQueue(application.queue.rawValue)
                try await until {
                    (try? await application.client.status(ofQueue: application.queue.rawValue).consumerCount) == 1
                }
                // It is bound to the ladder again too: the job fails once.
                _ = try await application.jobs.enqueue(Probe(number: 2), queue: application.queue)
                #expect(await recorder.next(1) == [2])
            }
            #expect(worker.counts.consumersLost >= 1)
        }
    }
}
