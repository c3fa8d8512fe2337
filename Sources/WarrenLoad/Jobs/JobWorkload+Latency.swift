import Foundation
import Synchronization
import Warren

extension JobWorkload {
    /// Enqueues jobs at a steady rate, and measures for each how long it takes from the call of `enqueue` to the start of its handler.
    func latency() async throws -> Figure {
        try await prepare()
        let jobs = JobClient(client, topology: topology, declaresTopology: false, logger: logger)
        let zero = ContinuousClock.now
        let latencies = Mutex<[Double]>([])
        _ = try await work(
            untilHandled: count,
            concurrency: 16,
            beside: {
                try await withThrowingDiscardingTaskGroup { group in
                    for number in 0..<count {
                        try await Task.sleep(until: zero + .seconds(1) * number / Load.jobsPerSecond, tolerance: .zero)
                        group.addTask { try await jobs.enqueue(NoOp(number: zero.nanosecondsUntilNow)) }
                    }
                }
            },
            handle: { job in
                let latency = Double(zero.nanosecondsUntilNow - job.number) / 1e6
                latencies.withLock { $0.append(latency) }
            }
        )
        try await finish(mayLeave: false)
        return Figure(.latency, count: count, latenciesInMilliseconds: latencies.withLock { $0 })
    }
}

extension ContinuousClock.Instant {
    fileprivate var nanosecondsUntilNow: Int { Int((ContinuousClock.now - self) / .nanoseconds(1)) }
}
