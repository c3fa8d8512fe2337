import AMQP

/// Decides which child process is started, stopped or killed when: a value without clock or I/O.
struct SupervisorMachine: Sendable {
    /// What happened.
    enum Event: Sendable, Equatable {
        /// A child's process exists.
        case started(Int)
        /// A child's process is gone, after it ran so long.
        case ended(Int, ChildEnding, ran: Duration)
        /// A pause before a start is over.
        case pauseEnded(Int)
        /// The supervisor was told to stop in order.
        case stop
        /// The supervisor was told to stop at once.
        case stopNow
        /// The children's time to end is up.
        case stopTimeoutElapsed
    }

    /// What to do.
    enum Action: Sendable, Equatable {
        case start(Int)
        /// Start a child later, with ``Event/pauseEnded(_:)``.
        case pause(Int, Duration)
        case stop(Int)
        case stopNow(Int)
        case kill(Int)
        /// Come back with ``Event/stopTimeoutElapsed`` after so long.
        case wait(Duration)
        /// All have ended: exit with this code.
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

    /// A child that ran so long counts as well, and its next pause is a short one.
    static let stableAfter: Duration = .seconds(30)
    /// How long children have to end that were told to end at once.
    static let immediateStopTimeout: Duration = .seconds(5)

    private let stopTimeout: Duration
    private var phase = Phase.working
    private var children: [ChildState]
    private var backoffs: [Backoff]
    private var exitCode: Int32 = 0

    /// A supervisor of so many children.
    ///
    /// - Parameter stopTimeout: How long children have to end in order.
    init(children count: Int, stopTimeout: Duration) {
        self.stopTimeout = stopTimeout
        children = Array(repeating: .starting, count: count)
        backoffs = Array(repeating: Backoff(from: .seconds(1), to: .seconds(30)), count: count)
    }

    /// What to do first.
    func begin() -> [Action] { children.indices.map { .start($0) } }

    /// What to do now that this happened.
    mutating func handle(_ event: Event) -> [Action] {
        switch event {
        case .started(let index): return started(index)
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

    /// A child that was on its way when the order came gets the order now.
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
        if ending == .exited(WorkerExit.recycled) {
            backoffs[index].reset()
            children[index] = .starting
            return [.start(index)]
        }
        if ending == .exited(WorkerExit.usage) {
            exitCode = WorkerExit.usage
            return enter(.stopping)
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
