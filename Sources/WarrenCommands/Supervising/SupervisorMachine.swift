import AMQP

/// Decides when each child process is started, stopped or killed.
///
/// A state machine without clock or I/O.
struct SupervisorMachine: Sendable {
    /// An event to react to.
    enum Event: Sendable, Equatable {
        /// A child's process was started.
        case started(Int)
        /// A child's process has run for ``SupervisorMachine/upAfter``.
        case cameUp(Int)
        /// A child's process ended, after running for this time.
        case ended(Int, ChildEnding, ran: Duration)
        /// The pause before a start has passed.
        case pauseEnded(Int)
        /// The supervisor was asked to let jobs finish and stop.
        case stop
        /// The supervisor was asked to stop at once.
        case stopNow
        /// The time for the children to end has passed.
        case stopTimeoutElapsed
    }

    /// An action to perform.
    enum Action: Sendable, Equatable {
        case start(Int)
        /// Report ``Event/pauseEnded(_:)`` after a pause, for a child to be started.
        case pause(Int, Duration)
        case stop(Int)
        case stopNow(Int)
        case kill(Int)
        /// Report ``Event/stopTimeoutElapsed`` after this time.
        case wait(Duration)
        /// Report that no child ever came up.
        case giveUp
        /// All children have ended: exit with this code.
        case finish(Int32)
    }

    private enum Phase: Int, Comparable {
        case working, stopping, stoppingNow, killing
        static func < (one: Phase, other: Phase) -> Bool { one.rawValue < other.rawValue }
    }

    private enum ChildState {
        case starting, running, pausing, ended
        var isAlive: Bool { self == .starting || self == .running }
    }

    /// The running time after which a child counts as healthy, so that its next pause is short.
    static let stableAfter: Duration = .seconds(30)
    /// The running time after which a child counts as having come up.
    static let upAfter: Duration = .seconds(10)
    /// The number of times that each child is started before the supervisor ends because none ever came up.
    static let mostStarts = 4
    /// The time for which children may run after they were asked to stop at once.
    static let immediateStopTimeout: Duration = .seconds(5)

    private let stopTimeout: Duration
    private var phase = Phase.working
    private var children: [ChildState]
    private var backoffs: [Backoff]
    /// The number of times that each child has ended before any came up.
    private var vainStarts: [Int]
    private var hasAnyComeUp = false
    private var exitCode: Int32 = 0

    /// Creates the machine for a number of children.
    ///
    /// - Parameter stopTimeout: The time for which children may finish their jobs.
    init(children count: Int, stopTimeout: Duration) {
        self.stopTimeout = stopTimeout
        children = Array(repeating: .starting, count: count)
        vainStarts = Array(repeating: 0, count: count)
        backoffs = Array(repeating: Backoff(from: .seconds(1), to: .seconds(30)), count: count)
    }

    /// Returns the first actions.
    func begin() -> [Action] { children.indices.map { .start($0) } }

    /// Returns the actions that an event calls for.
    mutating func handle(_ event: Event) -> [Action] {
        switch event {
        case .started(let index): return started(index)
        case .cameUp:
            hasAnyComeUp = true
            return []
        case .ended(let index, let ending, let ran): return ended(index, ending, ran)
        case .pauseEnded(let index):
            guard phase == .working, children[index] == .pausing else { return [] }
            children[index] = .starting
            return [.start(index)]
        case .stop: return enter(phase == .working ? .stopping : .stoppingNow)
        case .stopNow: return enter(.stoppingNow)
        case .stopTimeoutElapsed: return phase == .working ? [] : enter(.killing)
        }
    }

    /// A child that was still starting when the request came gets it now.
    private mutating func started(_ index: Int) -> [Action] {
        children[index] = .running
        return stopAction(for: index).map { [$0] } ?? []
    }

    private mutating func ended(_ index: Int, _ ending: ChildEnding, _ ran: Duration) -> [Action] {
        children[index] = .ended
        guard phase == .working else {
            if !ending.isClean { exitCode = 1 }
            return finishIfOver()
        }
        if ran >= Self.upAfter { hasAnyComeUp = true }
        if ending == .exited(WorkerExit.recycled), ran >= Self.upAfter {
            backoffs[index].reset()
            children[index] = .starting
            return [.start(index)]
        }
        if ending == .exited(WorkerExit.usage) {
            exitCode = WorkerExit.usage
            return enter(.stopping)
        }
        vainStarts[index] += 1
        if !hasAnyComeUp, vainStarts.allSatisfy({ $0 >= Self.mostStarts }) {
            exitCode = 1
            return [.giveUp] + enter(.stopping)
        }
        if ran >= Self.stableAfter { backoffs[index].reset() }
        children[index] = .pausing
        return [.pause(index, backoffs[index].next())]
    }

    private mutating func enter(_ next: Phase) -> [Action] {
        guard phase < next else { return [] }
        phase = next
        for index in children.indices where children[index] == .pausing { children[index] = .ended }
        var actions = children.indices.filter { children[$0] == .running }.compactMap { stopAction(for: $0) }
        switch next {
        case .stopping: actions.append(.wait(stopTimeout))
        case .stoppingNow: actions.append(.wait(Self.immediateStopTimeout))
        case .working, .killing: break
        }
        return actions + finishIfOver()
    }

    private func stopAction(for index: Int) -> Action? {
        switch phase {
        case .working: nil
        case .stopping: .stop(index)
        case .stoppingNow: .stopNow(index)
        case .killing: .kill(index)
        }
    }

    private func finishIfOver() -> [Action] {
        children.contains { $0.isAlive } ? [] : [.finish(exitCode)]
    }
}
