import AMQP
import Synchronization

#if canImport(Darwin)
import Darwin
#else
import Glibc
#endif

/// The thread that runs a connection: a serial executor that also drains a mailbox and polls a socket.
///
/// Two kinds of work arrive: jobs (calls into the connection's actor) and the mailbox's contents (publishes and
/// settlements, too numerous for an actor hop each). Both are behind one lock, together with the flag that says whether
/// the thread sleeps. That makes the wake-up protocol simple:
///
/// - The thread marks itself as sleeping in the same critical section in which it sees that nothing needs doing now.
/// - Whoever adds work that can't wait, and finds the mark set, clears it and signals ``WakeUp``; all others know that
///   the thread is awake or already being woken, and signal nothing. One sleep costs at most one signal.
/// - A signal sent between the end of that critical section and `poll()` stays in the pipe, so `poll()` returns at
///   once.
///
/// So no wake-up is lost, and none is sent to a thread that is awake.
///
/// A publish that finds the thread asleep needn't wake it: the poster takes the connection for as long as it sends
/// (``sendHere()``), which saves a change of threads. What librabbitmq needs is exclusion, not one thread; the lock
/// ``turn`` excludes them from each other.
final class ConnectionThread: SerialExecutor {
    /// The conditions under which the thread may sleep after an iteration.
    ///
    /// It sleeps until work that can't wait is posted, the socket is readable, or the timeout elapses.
    struct SleepPlan {
        /// The open socket, to be polled.
        var socket: Int32?
        /// True if bytes wait for the socket to accept them.
        var awaitsWritability = false
        /// The longest sleep; `nil` has no limit.
        var timeout: Duration?
        /// True if settlements were sent in this iteration: later ones may wait briefly, to be sent together.
        var coalescesSettlements = false
        /// True if the broker is busy with earlier publishes: later ones may wait briefly, or until its next confirm.
        var coalescesPublishes = false
        /// True if a poster may send while the thread sleeps: sending then neither blocks nor connects.
        var lends = false
        /// True if callers wait for publishes, so that the watchdog must go on watching their deadlines.
        var hasPendingPublishes = false
    }

    /// The longest time that the mailbox may wait for more to be sent with it; the shortest that `poll()` can wait.
    private static let coalescingTime = Duration.milliseconds(1)
    /// The number of times in a row that a poster sends what others have posted meanwhile.
    private static let lentTurns = 4
    /// The number of times in a row that the thread doesn't poll the socket because a job may have left work.
    private static let skippedPollLimit = 4
    /// The number of waiting publishes that ends coalescing.
    private static let largestPublishBatch = 256

    /// One iteration of the connection's run loop.
    typealias Iteration = @Sendable (consuming Mailbox, _ isReadable: Bool) -> SleepPlan
    /// Sends publishes in place of the thread, on the thread of a poster.
    typealias Sending = @Sendable (consuming [PendingPublish]) -> SleepPlan
    /// Fails the publishes whose deadlines have passed; called from the watchdog's thread while this one is stuck.
    typealias Expiry = @Sendable (ContinuousClock.Instant) -> Void

    /// A job of a task that prefers an executor.
    private struct TaskJob {
        let job: UnownedJob
        let executor: any TaskExecutor
    }

    private struct State {
        var iteration: Iteration?
        var sending: Sending?
        var expiry: Expiry?
        var jobs: [UnownedJob] = []
        /// Jobs of tasks that prefer this thread: see ``PublishingExecutor``.
        var taskJobs: [TaskJob] = []
        var mailbox = Mailbox()
        /// True while the watchdog watches this thread.
        var isWatched = false
        /// The start of the iteration or job under way.
        var busySince: ContinuousClock.Instant?
        /// The start of the last iteration.
        var lastWork = ContinuousClock.now
        /// True while callers wait for publishes.
        var hasPendingPublishes = false
        /// True from the moment the thread decides to sleep until it wakes or somebody undertakes to wake it.
        var isSleeping = false
        /// The end of the sleep, at the latest; `nil` if it has none.
        var sleepEnd: ContinuousClock.Instant?
        var lends = false
        var coalescesSettlements = false
        var coalescesPublishes = false
        var isStopped = false

        var isEmpty: Bool { jobs.isEmpty && taskJobs.isEmpty && mailbox.isEmpty && !isStopped }

        /// Marks this thread as watched, and returns whether the caller must call the watchdog.
        mutating func beginWatch() -> Bool {
            defer { isWatched = true }
            return !isWatched
        }

        /// Marks the thread as awake, and returns whether the caller must signal it.
        mutating func requestWakeUp() -> Bool {
            defer { isSleeping = false }
            return isSleeping
        }

        /// Marks the mailbox as urgent, and returns whether the caller must signal the thread.
        mutating func requestUrgentWakeUp() -> Bool {
            mailbox.isUrgent = true
            return requestWakeUp()
        }

        /// Begins a poster's turn with the publishes in the mailbox; `nil` if there is work that only the thread does.
        mutating func takePublishes() -> (Sending, [PendingPublish])? {
            let hasOnlyPublishes = mailbox.settlements.isEmpty && mailbox.calls.isEmpty
            guard hasOnlyPublishes, jobs.isEmpty, taskJobs.isEmpty, !isStopped, let sending else { return nil }
            busySince = .now
            defer { mailbox = Mailbox() }
            return (sending, mailbox.publishes)
        }

        /// Ends a poster's turn, and lets the thread sleep on if its sleep suits what has been sent.
        mutating func end(lentTurnWith plan: SleepPlan) -> LentTurnEnd {
            lastWork = busySince ?? lastWork
            busySince = nil
            hasPendingPublishes = plan.hasPendingPublishes
            let mayOversleep = plan.timeout.map { timeout in sleepEnd.map { $0 > .now + timeout } ?? true } ?? false
            guard plan.lends, !plan.awaitsWritability, !mayOversleep else { return .mustWake }
            isSleeping = isEmpty
            return isSleeping ? .sleeps : .hasMore
        }
    }

    /// The state in which a poster leaves the connection that it had borrowed.
    private enum LentTurnEnd {
        case sleeps, hasMore, mustWake
    }

    /// The longest iteration that doesn't concern the watchdog.
    private static let normalIteration = Duration.milliseconds(20)
    /// The time without work after which the watchdog stops watching.
    private static let idleTime = Duration.seconds(1)

    private let state = Mutex(State())
    private let wakeUp: WakeUp
    /// The thread that runs the connection now.
    private let identity = Atomic<UInt>(0)
    /// Held by whoever runs the connection.
    private let turn = Mutex<Void>(())
    /// The open socket, for the watchdog; the lock keeps it open while the watchdog uses it.
    private let socket = Mutex<Int32?>(nil)
    private let callTimeout: Duration

    /// Starts a thread without work.
    ///
    /// - Parameter callTimeout: The longest time that a call may be stuck on an open socket; then the socket is shut
    ///   down.
    /// - Throws: `connectionFailed` if the system has no thread or no file descriptor left.
    init(callTimeout: Duration) throws(AMQPError) {
        self.callTimeout = callTimeout
        wakeUp = try WakeUp()
        let body = ThreadBody { [self] in
            identity.store(Self.currentThread, ordering: .releasing)
            run()
        }
        try body.start()
    }

    /// Gives the thread its work; called once, before the first post.
    ///
    /// - Parameters:
    ///   - expiry: Fails publishes that are past their deadlines.
    ///   - sending: Sends publishes while the thread sleeps.
    ///   - iteration: Takes the mailbox's contents and whether the socket is readable; returns how long the thread may
    ///     sleep.
    func begin(expiry: @escaping Expiry, sending: Sending? = nil, _ iteration: @escaping Iteration) {
        state.withLock { state in
            state.iteration = iteration
            state.sending = sending
            state.expiry = expiry
        }
    }

    /// Ends the thread after the jobs that are waiting.
    ///
    /// Only the connection's `deinit` may call it: a later job would never run.
    func stop() {
        let wasSleeping = state.withLock { state in
            state.isStopped = true
            return state.requestWakeUp()
        }
        if wasSleeping { wakeUp.signal() }
    }

    // MARK: Posting

    /// Puts a publish into the mailbox.
    ///
    /// It is sent at once unless the broker is busy with many. Then it waits for the next confirm, which wakes the
    /// thread, or for a millisecond, so that one wake-up sends many.
    func post(_ publish: PendingPublish) {
        let (wasSleeping, lends, needsWatch) = state.withLock { state in
            state.mailbox.publishes.append(publish)
            let needsWatch = state.beginWatch()
            if state.coalescesPublishes && state.mailbox.publishes.count < Self.largestPublishBatch {
                return (false, false, needsWatch)
            }
            return (state.requestUrgentWakeUp(), state.lends, needsWatch)
        }
        if wasSleeping, !lends || !sendHere() { wakeUp.signal() }
        if needsWatch { Watchdog.shared?.watch(self) }
    }

    /// Sends the publishes in the mailbox on the calling thread, in place of the sleeping one.
    ///
    /// The caller has undertaken to wake that thread. Returns false if it still must.
    private func sendHere() -> Bool {
        turn.withLockIfAvailable { _ in
            let owner = identity.load(ordering: .acquiring)
            identity.store(Self.currentThread, ordering: .releasing)
            defer { identity.store(owner, ordering: .releasing) }
            for _ in 1...Self.lentTurns {
                guard let (sending, publishes) = state.withLock({ $0.takePublishes() }) else { return false }
                let plan = sending(publishes)
                switch state.withLock({ $0.end(lentTurnWith: plan) }) {
                case .sleeps: return true
                case .mustWake: return false
                case .hasMore: continue
                }
            }
            return false
        } ?? false
    }

    /// Puts a settlement into the mailbox.
    ///
    /// It is sent at once unless others were sent just before. Then it waits for a millisecond, or until there are
    /// `batch` of them, so that many become one frame.
    func post(_ settlement: SettlementRequest, batch: Int) {
        let (wasSleeping, needsWatch) = state.withLock { state in
            state.mailbox.settlements.append(settlement)
            let needsWatch = state.beginWatch()
            if state.coalescesSettlements && state.mailbox.settlements.count < batch { return (false, needsWatch) }
            return (state.requestUrgentWakeUp(), needsWatch)
        }
        if wasSleeping { wakeUp.signal() }
        if needsWatch { Watchdog.shared?.watch(self) }
    }

    /// Puts a call into the mailbox; the thread makes it after everything that was published and settled before.
    func post(_ call: @escaping Mailbox.Call) {
        let (wasSleeping, needsWatch) = state.withLock { state in
            state.mailbox.calls.append(call)
            return (state.requestUrgentWakeUp(), state.beginWatch())
        }
        if wasSleeping { wakeUp.signal() }
        if needsWatch { Watchdog.shared?.watch(self) }
    }

    // MARK: Executor

    func enqueue(_ job: consuming ExecutorJob) {
        let job = UnownedJob(job)
        let wasSleeping = state.withLock { state in
            state.jobs.append(job)
            return state.requestWakeUp()
        }
        if wasSleeping { wakeUp.signal() }
    }

    /// Runs a job of a task that prefers `executor`; returns false if this thread has ended.
    func enqueue(_ job: UnownedJob, of executor: any TaskExecutor) -> Bool {
        let (isEnded, wasSleeping) = state.withLock { state in
            if state.isStopped { return (true, false) }
            state.taskJobs.append(TaskJob(job: job, executor: executor))
            return (false, state.requestWakeUp())
        }
        if wasSleeping { wakeUp.signal() }
        return !isEnded
    }

    func checkIsolated() {
        precondition(
            identity.load(ordering: .acquiring) == Self.currentThread,
            "A connection's state was touched from a thread other than its own."
        )
    }

    func isIsolatingCurrentContext() -> Bool? {
        identity.load(ordering: .acquiring) == Self.currentThread
    }

    // MARK: The thread

    private func run() {
        var isReadable = false
        var skippedPolls = 0
        while true {
            let (iteration, jobs, taskJobs, mailbox, isStopped) = state.withLock { state in
                let taken = (state.iteration, state.jobs, state.taskJobs, state.mailbox, state.isStopped)
                state.jobs = []
                state.taskJobs = []
                state.mailbox = Mailbox()
                state.busySince = .now
                return taken
            }
            // A task's own calls keep their order: a job was enqueued after everything its task had posted, and both
            // were taken under one lock. The mailbox goes first, so what a task settled or published before it closes
            // something is sent before the close.
            let plan = turn.withLock { _ in
                let plan = iteration?(mailbox, isReadable) ?? SleepPlan()
                for job in jobs { unsafe job.runSynchronously(on: asUnownedSerialExecutor()) }
                for task in taskJobs { unsafe task.job.runSynchronously(on: task.executor.asUnownedTaskExecutor()) }
                return plan
            }
            let hasRunJobs = !jobs.isEmpty || !taskJobs.isEmpty
            if isStopped && !hasRunJobs { return }
            // Never asleep while work is pending: the plan doesn't know what jobs did or what was posted since, so the
            // thread sleeps only if it ran no job and finds nothing new, or only what may wait for more. It decides
            // and sets `isSleeping` in one critical section, so whoever posts later sees the mark and signals.
            let maySleep = state.withLock { state in
                let mayMailboxWait =
                    !state.mailbox.isUrgent && (state.mailbox.settlements.isEmpty || plan.coalescesSettlements)
                    && (state.mailbox.publishes.isEmpty || plan.coalescesPublishes)
                state.isSleeping =
                    !hasRunJobs && state.jobs.isEmpty && state.taskJobs.isEmpty && mayMailboxWait && !state.isStopped
                state.coalescesSettlements = plan.coalescesSettlements
                state.coalescesPublishes = plan.coalescesPublishes
                state.lends = plan.lends
                state.sleepEnd = plan.timeout.map { ContinuousClock.now + $0 }
                state.lastWork = state.busySince ?? state.lastWork
                state.busySince = nil
                state.hasPendingPublishes = plan.hasPendingPublishes
                return state.isSleeping
            }
            // The work that a job has left comes first; the socket is asked again soon all the same.
            if hasRunJobs && skippedPolls < Self.skippedPollLimit {
                skippedPolls += 1
                isReadable = false
                continue
            }
            skippedPolls = 0
            // Posts that may wait send no signal, so while any are allowed to, a sleep lasts a millisecond at most.
            let coalesces = plan.coalescesSettlements || plan.coalescesPublishes
            let longest = coalesces ? min(plan.timeout ?? Self.coalescingTime, Self.coalescingTime) : plan.timeout
            // With work pending this polls without waiting, so a flood of posts can't keep the socket from being read.
            isReadable = wakeUp.sleep(
                orUntilReadable: plan.socket,
                orWritable: plan.awaitsWritability,
                timeout: maySleep ? longest : .zero
            )
            // Woken by the socket or the timeout, the mark is still set; nobody needs to signal any more.
            if maySleep { state.withLock { $0.isSleeping = false } }
        }
    }

    /// The calling thread's identity; never 0, which stands for "not started".
    private static var currentThread: UInt {
        #if canImport(Darwin)
        unsafe UInt(bitPattern: pthread_self())
        #else
        UInt(pthread_self())
        #endif
    }

    // MARK: Watchdog

    /// Records that the present iteration advances, so that the watchdog measures the next call and not all of them.
    func noteProgress() {
        state.withLock { $0.busySince = .now }
    }

    /// Records the open socket for the watchdog; `nil` before it is closed.
    func setSocket(_ descriptor: Int32?) {
        socket.withLock { $0 = descriptor }
    }

    /// Does for this thread what it can't do while it is stuck; called from the watchdog's thread.
    ///
    /// Returns false if this thread needs no more watching.
    func inspect(at now: ContinuousClock.Instant) -> Bool {
        let (stuckFor, waiting, expiry, goesOn) = state.withLock {
            state -> (Duration, [PendingPublish], Expiry?, Bool) in
            // A thread that has ended was busy to the last, and its pipe is closed once nobody holds it any more.
            if state.isStopped { return (.zero, [], nil, false) }
            let stuckFor = state.busySince.map { $0.duration(to: now) } ?? .zero
            if stuckFor >= Self.normalIteration { return (stuckFor, state.mailbox.publishes, state.expiry, true) }
            let isIdle = state.isEmpty && !state.hasPendingPublishes && state.lastWork.duration(to: now) > Self.idleTime
            state.isWatched = !isIdle
            return (stuckFor, [], nil, !isIdle)
        }
        for publish in waiting where publish.deadline <= now { publish.failUnsent() }
        expiry?(now)
        if stuckFor > callTimeout {
            // The stuck call then returns with an error, and this thread makes a new connection.
            socket.withLock { descriptor in
                if let descriptor { _ = shutdown(descriptor, Int32(SHUT_RDWR)) }
            }
        }
        return goesOn
    }
}

extension Connection {
    /// The connection's thread is its executor.
    ///
    /// The actor keeps the thread alive, so the unowned reference is valid as long as the actor.
    nonisolated var unownedExecutor: UnownedSerialExecutor { unsafe thread.asUnownedSerialExecutor() }
}

/// Work that callers leave for the connection's thread without waiting for it.
struct Mailbox: Sendable {
    /// Something for the connection to do.
    typealias Call = @Sendable (isolated Connection) -> Void

    var publishes: [PendingPublish] = []
    var settlements: [SettlementRequest] = []
    var calls: [Call] = []

    /// True if the contents must not wait for more to be sent with them.
    var isUrgent = false

    var isEmpty: Bool { publishes.isEmpty && settlements.isEmpty && calls.isEmpty }
}

/// A pipe: a thread sleeps on one end, together with a socket, and other threads wake it through the other.
final class WakeUp: Sendable {
    private let readEnd: Int32
    private let writeEnd: Int32

    init() throws(AMQPError) {
        var ends: [Int32] = [0, 0]
        guard unsafe pipe(&ends) == 0 else {
            throw AMQPError(
                .connectionFailed,
                "The system has no file descriptor left for a connection (errno \(errno)): raise the limit, or close some."
            )
        }
        for end in ends {
            _ = fcntl(end, F_SETFL, O_NONBLOCK)
            _ = fcntl(end, F_SETFD, FD_CLOEXEC)
        }
        (readEnd, writeEnd) = (ends[0], ends[1])
    }

    deinit {
        close(readEnd)
        close(writeEnd)
    }

    /// Wakes the sleeper, now or when it next goes to sleep.
    ///
    /// A write to a full pipe fails, but a full pipe wakes the sleeper anyway.
    func signal() {
        var one: UInt8 = 1
        _ = unsafe write(writeEnd, &one, 1)
    }

    /// Sleeps until `socket` is readable, or writable if that is asked for, ``signal()`` is called, or the timeout
    /// elapses; `nil` means no timeout.
    ///
    /// May end early, as when a Unix signal interrupts it. Returns whether the socket is readable or at its end.
    func sleep(orUntilReadable socket: Int32?, orWritable: Bool = false, timeout: Duration?) -> Bool {
        let events = Int16(orWritable ? POLLIN | POLLOUT : POLLIN)
        // poll() skips a negative descriptor.
        var descriptors = (
            pollfd(fd: readEnd, events: Int16(POLLIN), revents: 0), pollfd(fd: socket ?? -1, events: events, revents: 0)
        )
        unsafe withUnsafeMutablePointer(to: &descriptors) { pair in
            _ = unsafe pair.withMemoryRebound(to: pollfd.self, capacity: 2) {
                unsafe poll($0, 2, timeout?.wholeMillisecondsRoundedUp ?? -1)
            }
        }
        if descriptors.0.revents != 0 { takeSignals() }
        return Int32(descriptors.1.revents) & ~POLLOUT != 0
    }

    private func takeSignals() {
        var signals: UInt64 = 0
        while unsafe read(readEnd, &signals, 8) == 8 {}
    }
}

extension Duration {
    /// Whole milliseconds, rounded up so that a sleep is never too short, and at most a day.
    var wholeMillisecondsRoundedUp: Int32 {
        let (seconds, attoseconds) = components
        guard seconds >= 0, attoseconds >= 0 else { return 0 }
        guard seconds < 86_400 else { return 86_400_000 }
        return Int32(seconds) * 1000 + Int32((attoseconds + 999_999_999_999_999) / 1_000_000_000_000_000)
    }
}
