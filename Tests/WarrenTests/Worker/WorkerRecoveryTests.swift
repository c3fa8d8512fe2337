import AMQP
import EmbeddedBroker
import Foundation
import TestSupport
import Testing

@testable import Warren

@Suite(.timeLimit(.minutes(1))) struct WorkerRecoveryTests {
    @Test(arguments: [BrokerVersion(4, 0), BrokerVersion(4, 3)])
    func `A worker whose consumer is lost consumes again, and runs no waiting job twice`(
        version: BrokerVersion
    ) async throws {
        let harness = try await WorkerHarness(version: version)
        // A delivery that is kept for longer costs the consumer: with its channel, or alone from 4.3 on.
        harness.broker.embedded.setConsumerTimeout(.seconds(20))
        let gate = Latch()
        let recorder = Recorder<String>()
        let worker = harness.worker {
            Handler(Probe.self) { job, context in
                recorder.record("\(job.number) \(context.isRedelivered)")
                if job.number == 1, !context.isRedelivered { await gate.wait() }
            }
        }
        for number in 1...2 { try await harness.enqueue(number) }
        try await harness.run(worker) {
            #expect(await recorder.next(1) == ["1 false"])
            try await until { harness.unsettled == 2 }
            harness.clock.advance(by: .seconds(20))
            #expect(harness.consumers("probes") == 0)
            try await harness.untilQuiet()
            gate.open()
            try await harness.pass { harness.consumers("probes") == 1 }
            #expect(await recorder.next(2) == ["1 true", "2 true"])
            try await until { harness.acknowledged == 2 }
        }
        #expect(worker.counts.consumersLost == 1)
        #expect(worker.counts.redelivered == 2)
        #expect(worker.counts.lateSettlements == 1)
    }

    @Test(arguments: [(BrokerVersion(3, 10), true), (BrokerVersion(4, 0), false)])
    func `A consumer that receives nothing while the worker is idle is replaced, on brokers that may keep stale ones`(
        version: BrokerVersion,
        isRenewed: Bool
    ) async throws {
        let harness = try await WorkerHarness(version: version)
        let deaf = DeafConsumer()
        harness.broker.fail { $0.deafConsumer = deaf }
        let worker = harness.worker { Handler(Probe.self) { _, _ in } }
        try await harness.run(worker) {
            try await until { harness.consumers("probes") == 1 }
            try await harness.enqueue(1)
            #expect(harness.unsettled == 1)
            for _ in 0..<3 {
                try await harness.untilQuiet()
                harness.clock.advance(by: StaleConsumerMonitor.interval)
            }
            if !isRenewed { try await deaf.hear() }
            try await until { harness.acknowledged == 1 && harness.consumers("probes") == 1 }
        }
        #expect((harness.broker.requests.consumed.count > 1) == isRenewed)
        #expect(worker.counts.redelivered == (isRenewed ? 1 : 0))
        #expect(worker.counts.consumersLost == 0)
    }

    @Test func `A queue deleted under the worker is declared again, with its binding to the ladder`() async throws {
        let harness = try await WorkerHarness()
        let recorder = Recorder<String>()
        let worker = harness.worker {
            Handler(Probe.self) { job, context in
                recorder.record("\(job.number) \(context.attempt)")
                if context.attempt == 1 { throw ProbeError() }
            }
        }
        try await harness.enqueue(5)
        try await harness.run(worker) {
            #expect(await recorder.next(1) == ["5 1"])
            try await until { harness.ready("warren.delay.v1.level-01").count == 1 && harness.acknowledged == 1 }
            let bindings = harness.bindingsToLadder
            try await harness.broker.embedded.deleteQueue("probes")
            try await harness.pass {
                harness.consumers("probes") == 1 && harness.bindingsToLadder > bindings
            }
            #expect(harness.ready("warren.delay.v1.level-01").count == 1)
            harness.clock.advance(by: .seconds(2))
            #expect(await recorder.next(1) == ["5 2"])
        }
    }

    @Test func `A worker whose consumer is lost consumes again before its declarations are answered`() async throws {
        let harness = try await WorkerHarness()
        harness.broker.embedded.setConsumerTimeout(.seconds(20))
        let recorder = Recorder<Bool>()
        let worker = harness.worker {
            Handler(Probe.self) { _, context in
                recorder.record(context.isRedelivered)
                if !context.isRedelivered { await Latch().wait() }
            }
        }
        try await harness.enqueue(1)
        try await harness.run(worker) {
            #expect(await recorder.next(1) == [false])
            try await until { harness.bindingsToLadder > 0 }
            harness.broker.fail { $0.declaringHangs = true }
            harness.clock.advance(by: .seconds(20))
            try await harness.pass { harness.consumers("probes") == 1 }
        }
    }

    @Test func `A queue that somebody else redeclares in between is bound to the ladder again`() async throws {
        let harness = try await WorkerHarness()
        let worker = harness.worker { Handler(Probe.self) { _, _ in } }
        try await harness.run(worker) {
            try await until { harness.consumers("probes") == 1 && harness.bindingsToLadder > 0 }
            let bindings = harness.bindingsToLadder
            try await harness.broker.embedded.deleteQueue("probes")
            _ = try await harness.topology.plan(for: ["probes"], delays: false, broker: harness.broker.version)
                .apply(to: harness.broker.embedded)
            try await harness.pass {
                harness.consumers("probes") == 1 && harness.bindingsToLadder > bindings
            }
        }
        #expect(worker.counts.consumersLost == 1)
    }

    @Test func `A part of the topology that vanishes while it is declared is declared again`() async throws {
        let harness = try await WorkerHarness()
        harness.broker.fail {
            $0.declaring.next = Array(repeating: AMQPError(.notFound, "Taken back."), count: 4)
        }
        let worker = harness.worker { Handler(Probe.self) { _, _ in } }
        try await harness.run(worker) {
            try await harness.pass {
                harness.broker.faults.declaring.next.isEmpty && harness.consumers("probes") == 1
                    && harness.bindingsToLadder > 0
            }
        }
    }

    @Test func `A worker that starts before its broker waits for it`() async throws {
        let harness = try await WorkerHarness()
        let recorder = Recorder<Int>()
        harness.broker.fail {
            $0.consuming.next = Array(repeating: AMQPError(.connectionFailed, "Nobody there."), count: 3)
        }
        let worker = harness.worker { Handler(Probe.self) { job, _ in recorder.record(job.number) } }
        try await harness.enqueue(5)
        try await harness.run(worker) {
            try await harness.pass { harness.consumers("probes") == 1 }
            #expect(await recorder.next(1) == [5])
        }
        #expect(harness.broker.requests.consumed.count == 4)
    }

    @Test(arguments: [([Lane.normal], false), ([.high, .normal], true)])
    func `A worker with several consumers isolates each`(lanes: [Lane], isIsolated: Bool) async throws {
        let harness = try await WorkerHarness(lanes: lanes)
        let worker = harness.worker { Handler(Probe.self) { _, _ in } }
        try await harness.run(worker) {
            try await until { harness.broker.requests.consumed.count == lanes.count }
        }
        #expect(harness.broker.requests.consumed.map(\.isIsolated) == lanes.map { _ in isIsolated })
    }

    @Test func `A queue that can't be consumed is tried again, and ends nothing else`() async throws {
        let harness = try await WorkerHarness(lanes: [.high, .normal])
        harness.broker.fail {
            $0.consuming.next = Array(repeating: AMQPError(.accessRefused, "Not allowed."), count: 5)
        }
        let recorder = Recorder<Int>()
        let worker = harness.worker { Handler(Probe.self) { job, _ in recorder.record(job.number) } }
        try await harness.enqueue(1, lane: .high)
        try await harness.enqueue(2)
        try await harness.run(worker) {
            try await harness.pass { harness.acknowledged == 2 }
            #expect(await recorder.next(2).sorted() == [1, 2])
        }
    }

    @Test func `A job whose delivery is lost while it waits isn't started, and one that is running isn't settled`()
        async throws
    {
        let harness = try await WorkerHarness()
        let gate = Latch()
        let recorder = Recorder<String>()
        let worker = harness.worker {
            Handler(Probe.self) { job, context in
                recorder.record("\(job.number) \(context.isRedelivered)")
                await (context.isRedelivered ? Latch() : gate).wait()
                throw ProbeError()
            }
        }
        for number in 1...2 { try await harness.enqueue(number) }
        try await harness.run(worker) {
            #expect(await recorder.next(1) == ["1 false"])
            try await until { harness.unsettled == 2 }
            // The stream goes on, as that of a client that recovers does: nobody takes the second job out of the
            // worker.
            harness.broker.embedded.closeConnections()
            gate.open()
            #expect(await recorder.next(1) == ["1 true"])
            #expect(worker.counts.lateSettlements == 1)
            #expect(worker.counts.lost == 1)
            #expect(worker.counts.retried == 0)
            #expect(worker.counts.consumersLost == 0)
            #expect(harness.broker.published.isEmpty)
            #expect(harness.acknowledged == 0)
        }
    }

    @Test func `A retry that can't be published at first is published later, exactly once`() async throws {
        let harness = try await WorkerHarness()
        let worker = harness.worker { Handler(Probe.self) { _, _ in throw ProbeError() } }
        try await harness.enqueue(1)
        harness.broker.fail {
            $0.publishing.next = [AMQPError(.blocked, "An alarm."), AMQPError(.connectionLost, "Gone.")]
        }
        try await harness.run(worker) {
            try await harness.pass { harness.acknowledged == 1 }
        }
        #expect(harness.broker.published.count == 3)
        #expect(harness.ready("warren.delay.v1.level-01").count == 1)
        #expect(worker.counts.retried == 1)
    }

    @Test func `A retry that can never be stored goes the broker's way to the dead queue, after one run`()
        async throws
    {
        let harness = try await WorkerHarness()
        let recorder = Recorder<Int>()
        let worker = harness.worker {
            Handler(Probe.self) { job, _ in
                recorder.record(job.number)
                throw ProbeError()
            }
        }
        harness.broker.fail { $0.publishing.always = AMQPError(.messageTooLarge, "Too large.") }
        try await harness.run(worker) {
            // Only now, when the worker has declared the queue and knows where rejected jobs go.
            try await until { harness.consumers("probes") == 1 }
            try await harness.enqueue(1)
            try await until { !harness.deadLetters.isEmpty }
        }
        #expect(await recorder.next(1) == [1])
        #expect(harness.deadLetters.map(\.record.reason) == [DeadReason(rawValue: "broker-rejected")])
        #expect(worker.counts.dead == 1)
        #expect(worker.counts.requeued == 0)
    }

    @Test func `A dead letter that may not be published keeps its slot, and the handler runs once`() async throws {
        let harness = try await WorkerHarness()
        let recorder = Recorder<Int>()
        let worker = harness.worker(
            concurrency: 2,
            settings: WorkerSettings(name: "tester", declaresTopology: false)
        ) {
            Handler(Probe.self) { job, _ in
                recorder.record(job.number)
                throw JobFailure.permanent("No.")
            }
        }
        try await harness.enqueue(1)
        harness.broker.fail { $0.publishing.always = AMQPError(.accessRefused, "Not allowed.") }
        try await harness.run(worker) {
            #expect(await recorder.next(1) == [1])
            try await until { worker.health().problems.contains { $0.contains("Not allowed.") } }
            try await harness.enqueue(2)
            for _ in 0..<20 { try await harness.passOne() }
            #expect(harness.unsettled == 2)
            #expect(worker.counts.requeued == 0)
            harness.broker.fail { $0.publishing.always = nil }
            try await harness.pass { harness.deadLetters.count == 2 }
            #expect(await recorder.next(1) == [2])
        }
        #expect(worker.counts.dead == 2)
    }

    @Test func `A retry into a full queue waits at the broker, and the handler doesn't run again before`()
        async throws
    {
        let harness = try await WorkerHarness()
        let recorder = Recorder<Int>()
        let worker = harness.worker {
            Handler(Probe.self) { _, context in
                recorder.record(context.attempt)
                if context.attempt == 1 { throw JobFailure.retry(after: .milliseconds(10)) }
            }
        }
        harness.broker.fail { $0.publishing.next = [AMQPError(.nacked, "It is full.")] }
        try await harness.enqueue(1)
        try await harness.run(worker) {
            #expect(await recorder.next(1) == [1])
            try await until { harness.ready("warren.delay.v1.level-00").count == 1 }
            try await harness.pass { worker.counts.succeeded == 1 }
            #expect(await recorder.next(1) == [2])
        }
        #expect(worker.counts.retried == 1)
    }

    @Test func `A job that fails after its queue was deleted is kept`() async throws {
        let harness = try await WorkerHarness()
        let worker = harness.worker {
            Handler(Probe.self) { _, _ in
                try await harness.broker.embedded.deleteQueue("probes")
                throw JobFailure.permanent("No.")
            }
        }
        try await harness.enqueue(1)
        try await harness.run(worker) { try await harness.pass { !harness.deadLetters.isEmpty } }
        #expect(harness.deadLetters.count == 1)
    }

    @Test func `A dead queue that is missing is declared again for the dead letter`() async throws {
        let harness = try await WorkerHarness()
        let worker = harness.worker {
            Handler(Probe.self) { _, _ in
                try await harness.broker.embedded.deleteQueue("probes.dead")
                throw JobFailure.permanent("No.")
            }
        }
        try await harness.enqueue(1)
        try await harness.run(worker) {
            try await harness.pass { harness.acknowledged == 1 }
        }
        #expect(harness.deadLetters.count == 1)
    }
}

extension WorkerHarness {
    /// The number of times that a worker bound the queue to the delay ladder.
    fileprivate var bindingsToLadder: Int {
        broker.requests.bindings.count { $0 == DelayLadder.binding(for: "probes") }
    }
}
