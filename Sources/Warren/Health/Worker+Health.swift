import AMQP
import Synchronization

extension Worker {
    /// How the worker is now.
    ///
    /// It looks at what is known here and asks the broker nothing. What it finds it remembers, for `isLive`: so call it every few seconds,
    /// as a health file or a probe does.
    ///
    /// - Parameter now: The present.
    public func health(at now: ContinuousClock.Instant = .now) -> WorkerHealth {
        let life = life.withLock { $0 }
        let transport = transport.health
        let consumers = life.session?.consumerHealth ?? []
        let isInOrder = transport.isAlive(at: now) && !consumers.isEmpty && consumers.allSatisfy(\.isInOrder)
        let phase = phase(life)
        let wasLately = liveness.withLock { $0.note(isInOrder: isInOrder, at: now, grace: settings.livenessGrace) }
        let problems = phase == .working ? problems(transport, consumers, at: now) : [Self.sentence(phase)]
        return WorkerHealth(
            worker: settings.name,
            at: self.now(),
            phase: phase,
            isReady: phase == .working && problems.isEmpty,
            isLive: phase == .working ? wasLately : phase != .failed,
            problems: problems,
            publishing: "\(transport.publishing)",
            consuming: "\(transport.consuming)",
            secondsSinceLastReceived: transport.lastReceived.map { $0.duration(to: now) / .seconds(1) },
            consumers: consumers,
            runningJobs: life.session?.runningJobs ?? 0
        )
    }

    private func phase(_ life: Life) -> WorkerHealth.Phase {
        switch life {
        case .waiting: .waiting
        case .running(let session): session.isStopping ? .stopping : .working
        case .over(let isFailure): isFailure ? .failed : .stopped
        }
    }

    private func problems(
        _ transport: TransportHealth,
        _ consumers: [ConsumerHealth],
        at now: ContinuousClock.Instant
    ) -> [String] {
        var problems: [String] = []
        if !transport.consuming.isConnected {
            problems.append("The connection that consumes is \(transport.consuming).")
        } else if !transport.isAlive(at: now), let heard = transport.lastReceived {
            problems.append("Nothing was heard of the broker for \(heard.duration(to: now)).")
        }
        for consumer in consumers where !consumer.isInOrder {
            problems.append("The lane '\(consumer.lane)' of the queue '\(consumer.queue)' is not being consumed.")
        }
        return problems
    }

    private static func sentence(_ phase: WorkerHealth.Phase) -> String {
        switch phase {
        case .waiting: "The worker has not started yet."
        case .working: "The worker works."
        case .stopping: "The worker is stopping."
        case .stopped: "The worker has stopped."
        case .failed: "The worker could not go on and has stopped."
        }
    }

    /// Where a worker is in its life.
    enum Life: Sendable {
        case waiting
        case running(WorkerSession)
        case over(isFailure: Bool)

        var session: WorkerSession? {
            guard case .running(let session) = self else { return nil }
            return session
        }
    }
}
